"""Bronze objects as rows: one per line, its message's fields typed or the reason for none."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from spark_jobs.model import Model
from spark_jobs.transforms import layout
from spark_jobs.transforms.objects import EVIDENCE, Decoder, Evidence


def objects(spark: SparkSession, uris: list[str]) -> DataFrame:
    """Return exactly these objects, as the store has them: path, content."""
    return spark.read.format("binaryFile").load(uris).select("path", "content")


def parse(source: DataFrame, model: Model, kept: Model) -> DataFrame:
    """Decode objects (path, content) into the columns of ``layout``, a row for each line.

    ``kept`` is the part of the model whose columns come out: that of the objects' topics.
    """
    return source.mapInArrow(Decoder(model, kept), from_arrow_schema(layout.schema(kept)))


def evidence(source: DataFrame, evidence: Evidence) -> DataFrame:
    """Return key, headers and raw line of the wanted lines of objects (path, content)."""
    return source.mapInArrow(evidence, from_arrow_schema(EVIDENCE))
