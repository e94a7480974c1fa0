"""Daily bars to daily metrics: one row per symbol, source and session."""

from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import DAILY_METRICS, METRIC_KEYS, PRICE

_OHLC = ("open", "high", "low", "close")
_KEYS = METRIC_KEYS[DAILY_METRICS.name]


def daily_metrics(bars: DataFrame) -> DataFrame:
    """Return open, high, low, close, volume and change per symbol, source and session.

    They are those of the current bar, on its own basis: interval ``1d``, adjustment ``raw`` or
    ``split`` (the warehouse undoes it: it alone knows the later splits), latest ``as_of``, then
    latest in Kafka. Only sound bars count (`sound`): of a session without one there is no row
    here; the bar itself is in the lake, and the warehouse's rules put it into quarantine.
    ``daily_change`` is (close / open - 1) * 100, in percent. Prices are rounded half up to the six
    decimals of the column; the bar keeps its own.
    """
    newest = Window.partitionBy(*_KEYS).orderBy(
        *(F.desc(name) for name in ("as_of", "kafka_timestamp", "partition", "offset"))
    )
    daily = (F.col("interval") == "1d") & F.col("adjustment").isin("raw", "split")
    current = (
        bars.where(daily & sound())
        .withColumn("nth", F.row_number().over(newest))
        .where(F.col("nth") == 1)
    )
    change = F.col("close").cast("double") / F.col("open").cast("double") - 1
    return current.select(
        "symbol",
        "source",
        "simulated",
        "session_date",
        *(F.col(name).cast(PRICE).alias(f"daily_{name}") for name in _OHLC),
        F.col("volume").alias("daily_volume"),
        (change * 100).alias("daily_change"),
        F.col("event_id").alias("bar_event_id"),
        "as_of",
    )


def sound() -> Column:
    """Say whether a bar's OHLC is complete, positive, in the column's range and consistent."""
    complete = reduce(lambda left, right: left & right, (F.col(n).isNotNull() for n in _OHLC))
    in_range = (F.col("low") > 0) & F.col("high").try_cast(PRICE).isNotNull()
    ordered = (F.col("low") <= F.least("open", "close")) & (
        F.greatest("open", "close") <= F.col("high")
    )
    counted = F.coalesce(F.col("volume") >= 0, F.lit(True))
    return complete & in_range & ordered & counted
