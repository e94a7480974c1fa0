"""What is new in freshly computed metrics: rows whose values differ from the latest revision."""

from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# When and from what a value was computed is no value: it alone makes no revision.
_BESIDES = ("revision", "as_of", "computed_at")


def latest(revisions: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """Return the row with the highest revision of each key."""
    window = Window.partitionBy(*keys).orderBy(F.desc("revision"))
    numbered = revisions.withColumn("nth", F.row_number().over(window))
    return numbered.where(F.col("nth") == 1).drop("nth")


def changed(computed: DataFrame, current: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """Return the computed rows that are new or differ, with the next revision (from 1).

    A key that was not computed now keeps its revisions.
    """
    values = [name for name in computed.columns if name not in (*keys, *_BESIDES)]
    new, old = computed.alias("new"), current.alias("old")
    matching = reduce(
        lambda left, right: left & right, (F.col(f"new.{k}") == F.col(f"old.{k}") for k in keys)
    )
    same = reduce(
        lambda left, right: left & right,
        (F.col(f"new.{name}").eqNullSafe(F.col(f"old.{name}")) for name in values),
    )
    joined = new.join(old, matching, "left")
    differing = joined.where(F.col("old.revision").isNull() | ~same)
    revision = (F.coalesce(F.col("old.revision"), F.lit(0)) + 1).cast("int").alias("revision")
    return differing.select("new.*", revision)
