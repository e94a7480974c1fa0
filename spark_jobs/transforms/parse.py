"""Bronze objects as pages, or as rows: their messages' fields typed, or the reason for none."""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from spark_jobs.model import Model
from spark_jobs.transforms import layout
from spark_jobs.transforms.objects import Decoder, Wanted
from spark_jobs.transforms.pages import CHAIN, HITS, PAGE, Hits, Merger, Pager, merged_schema


def objects(spark: SparkSession, uris: list[str]) -> DataFrame:
    """Return exactly these objects, as the store has them: path, content."""
    if not uris:
        return spark.createDataFrame([], "path string, content binary")
    return spark.read.format("binaryFile").load(uris).select("path", "content")


def parse(source: DataFrame, model: Model, kept: Model, wanted: Wanted | None = None) -> DataFrame:
    """Decode objects (path, content) into the columns of ``layout``, a row for each line.

    ``kept`` is the part of the model whose columns come out: that of the objects' topics. Where
    lines are ``wanted``, only these come out, each with its key, headers and raw line.
    """
    decoder = Decoder(model, kept, wanted)
    return source.mapInArrow(decoder, from_arrow_schema(layout.schema(kept)))


def pages(source: DataFrame, pager: Pager) -> DataFrame:
    """Decode objects (path, content) into pages."""
    return source.mapInArrow(pager, from_arrow_schema(PAGE))


def merged(pages: DataFrame, merger: Merger, tasks: int) -> DataFrame:
    """Return the rows of a table's pages: those of a partition together, in the table's order."""
    some = pages.where(F.col("kind") == merger.table.name).where(F.col("rows").isNotNull())
    # By number, not by hash: sessions that follow each other spread evenly over the tasks.
    spread = some.select("part", *CHAIN, "rows").repartitionById(tasks, "part")
    together = spread.sortWithinPartitions("part")
    return together.mapInArrow(merger, from_arrow_schema(merged_schema(merger.table)))


def hits(events: DataFrame, wanted: Hits) -> DataFrame:
    """Return the hashes of a table's events that a batch has, too; maybe more than once."""
    return events.select("event_id").mapInArrow(wanted, from_arrow_schema(HITS))
