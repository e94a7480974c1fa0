"""Minutes of trades to bars of 1, 5, 15 and 60 minutes and of the session.

Bars of regular hours and before them start on the grid that begins at the session's open (the
grid goes back from it), bars after hours on the one that begins at its close. A bar never crosses
open or close, so that a session's last one may be short. The auctions' prints belong to regular
hours, whenever they came: the opening's to the first bar, the closing's to the last. The bar of a
day is that of regular hours.

A longer bar is exactly what its 1-minute bars add up to: highest high, lowest low, first open,
last close, sums of volume and count. Its volume-weighted price is of the trades themselves.
"""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import COMPUTED_LATER, TRADE_BARS, VOLUME_SUM
from spark_jobs.transforms.minutes import KEYS, exact_difference, micros
from spark_jobs.transforms.segments import CLOSING, MINUTE_US, OPENING, POST, PRE, REGULAR

INTERVALS: Final = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}
DAY: Final = "1d"
_BAR: Final = (*KEYS, "interval", "segment", "start", "end")


def trade_bars(minutes: DataFrame) -> DataFrame:
    """Return one row per symbol, source, session, interval, segment and start with a trade.

    Args:
        minutes: columns of ``minutes.COLUMNS``, whole sessions.
    """
    placed = minutes.select("*", F.inline(_places())).drop("segment")
    placed = placed.withColumnRenamed("in_segment", "segment")
    # Before the open, in its minutes and after the close: `minute` orders what a bar merges.
    first = Window.partitionBy(*_BAR).orderBy("minute")
    level = F.first("low").over(first)
    # Again as an exact difference, so that floats stay near the bar's own prices.
    value = F.col("dv") + F.col("volume").cast("double") * exact_difference("low", "level")
    merged = _merged(placed.withColumn("level", level).withColumn("value", value))
    return merged.select(
        *(name for name in TRADE_BARS.columns if name not in COMPUTED_LATER),
    )


def _places() -> Column:
    """Return the bars that a minute is a part of: interval, segment, and minutes of start, end."""
    widths = F.array(
        *(
            F.struct(F.lit(name).alias("interval"), F.lit(width).alias("width"))
            for name, width in INTERVALS.items()
        )
    )
    segment = _segment()
    intraday = F.transform(widths, lambda bar: _place(bar["interval"], segment, bar["width"]))
    day = F.array(
        F.struct(
            F.lit(DAY).alias("interval"),
            segment.alias("in_segment"),
            F.lit(0).alias("start"),
            F.col("n_minutes").alias("end"),
        )
    )
    return F.when(segment == REGULAR, F.concat(intraday, day)).otherwise(intraday)


def _segment() -> Column:
    return F.when(F.col("segment").isin(PRE, POST), F.col("segment")).otherwise(REGULAR)


def _place(interval: Column, segment: Column, width: Column) -> Column:
    origin = F.when(segment == POST, F.col("n_minutes")).otherwise(0)
    steps = F.floor((_minute() - origin) / width).cast("int")
    start = origin + steps * width
    return F.struct(
        interval.alias("interval"),
        segment.alias("in_segment"),
        start.alias("start"),
        (start + width).alias("end"),
    )


def _minute() -> Column:
    """Return the minute that a bar counts a print in: an auction's is inside regular hours."""
    return (
        F.when(F.col("segment") == OPENING, 0)
        .when(F.col("segment") == CLOSING, F.col("n_minutes") - 1)
        .otherwise(F.col("minute"))
    )


def _merged(placed: DataFrame) -> DataFrame:
    volume = F.sum("volume").cast(VOLUME_SUM)
    grouped = placed.groupBy(*_BAR, "open_at", "close_at", "n_minutes")
    found = grouped.agg(
        F.min_by("open", "minute").alias("open"),
        F.max("high").alias("high"),
        F.min("low").alias("low"),
        F.max_by("close", "minute").alias("close"),
        volume.alias("volume"),
        F.first("level").alias("level"),
        F.sum("value").alias("value"),
        F.sum("n").alias("n_trades"),
        F.bool_or("simulated").alias("simulated"),
        F.max("as_of").alias("as_of"),
    )
    above = F.try_divide(F.col("value"), F.col("volume").cast("double"))
    return found.withColumns(
        {
            "vwap": F.col("level").cast("double") + above,
            "start_at": _moment("start"),
            "end_at": _end(),
        }
    )


def _moment(minute: str) -> Column:
    """Return when a minute begins: counted from the open, after hours from the close."""
    since_close = F.col(minute) - F.col("n_minutes")
    is_after = F.col("segment") == POST
    origin = F.when(is_after, micros("close_at")).otherwise(micros("open_at"))
    count = F.when(is_after, since_close).otherwise(F.col(minute))
    return F.timestamp_micros(origin + count.cast("bigint") * F.lit(MINUTE_US))


def _end() -> Column:
    """Return when a bar ends; the close cuts the last one of regular hours."""
    end = _moment("end")
    return F.when(F.col("segment") == REGULAR, F.least(end, "close_at")).otherwise(end)
