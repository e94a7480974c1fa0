"""Bronze objects as rows: one per line, its message's fields as text or the reason for none."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from spark_jobs.transforms import decode


def lines(spark: SparkSession, uris: list[str]) -> DataFrame:
    """Return the lines of exactly these objects: line (binary), file_path."""
    # Spark's default also ends lines at a carriage return, which is data here.
    text = spark.read.text(uris, lineSep="\n")
    return text.select(F.col("value").cast("binary").alias("line"), F.col("_metadata.file_path"))


def parse(source: DataFrame) -> DataFrame:
    """Decode lines (line, file_path) into the columns of ``decode.SCHEMA``, row for row."""
    return source.mapInArrow(decode.batches, from_arrow_schema(decode.SCHEMA))
