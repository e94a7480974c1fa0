"""What is new in freshly computed metrics: rows whose values differ from the latest revision."""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# When and from what a value was computed is no value: it alone makes no revision.
_BESIDES = ("revision", "as_of", "computed_at")


def latest(revisions: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    """Return the row with the highest revision of each key."""
    window = Window.partitionBy(*keys).orderBy(F.desc("revision"))
    numbered = revisions.withColumn("nth", F.row_number().over(window))
    return numbered.where(F.col("nth") == 1).drop("nth")


def changed(
    computed: DataFrame,
    current: DataFrame,
    keys: tuple[str, ...],
    nothing: Mapping[str, int | None] | None = None,
    is_final: Column | None = None,
) -> DataFrame:
    """Return the computed rows that are new or differ, with the next revision (from 1).

    Args:
        computed: keys, values and ``as_of``.
        current: the latest revisions of the same sessions.
        keys: what names a row.
        nothing: values of a key that was not computed now, because nothing is left of it; its other
            values stay. Without it such a key keeps its revisions.
        is_final: over the keys and values; it is a value too.
    """
    names = [name for name in computed.columns if name not in (*keys, *_BESIDES)]
    rows = _joined(computed, current, keys, names, nothing)
    if is_final is not None:
        names, rows = [*names, "is_final"], rows.withColumn("is_final", is_final)
    same = reduce(
        lambda left, right: left & right,
        (F.col(name).eqNullSafe(F.col(f"before.{name}")) for name in names),
    )
    revision = (F.coalesce(F.col("before.revision"), F.lit(0)) + 1).cast("int").alias("revision")
    differing = rows.where(F.col("before.revision").isNull() | ~same)
    return differing.select(*keys, *names, "as_of", revision)


def _joined(
    computed: DataFrame,
    current: DataFrame,
    keys: tuple[str, ...],
    names: list[str],
    nothing: Mapping[str, int | None] | None,
) -> DataFrame:
    """Return keys, values and ``as_of`` as they are now, and the current row as ``before``."""
    matching = reduce(
        lambda left, right: left & right, (F.col(f"new.{k}") == F.col(f"old.{k}") for k in keys)
    )
    how = "left" if nothing is None else "full"
    joined = computed.alias("new").join(current.alias("old"), matching, how)
    is_there = F.col(f"new.{keys[0]}").isNotNull()
    gone = nothing or {}
    kinds = dict(computed.dtypes)
    values = [
        F.when(is_there, F.col(f"new.{name}"))
        .otherwise(F.lit(gone[name]).cast(kinds[name]) if name in gone else F.col(f"old.{name}"))
        .alias(name)
        for name in names
    ]
    either = [F.coalesce(f"new.{name}", f"old.{name}").alias(name) for name in (*keys, "as_of")]
    return joined.select(*either, *values, F.struct("old.*").alias("before"))
