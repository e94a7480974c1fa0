"""Trades to one row per minute of a session: open, high, low, close, volume and moments.

What windows and bars are made of. A minute's moments (n, mean, sum of squared deviations) can be
merged: SS = Σ(SS_i + n_i·(mean_i - mean)²). A sum of squares over the raw prices would lose all
digits for a calm window at a high price (relative error 0.68 at 1e6 ± 0.01). For the same reason
prices become floats only as exact differences to the lowest price of the minute.

The one shuffle is by symbol, source and session, and every float is summed in the order of events,
so that the same trades in a minute give the same bits, on any cluster and whatever arrives beside.
"""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from spark_jobs.schemas import PRICE, VOLUME_SUM, Columns
from spark_jobs.transforms.segments import (
    AUCTION_MINUTES,
    CLOSING,
    MINUTE_US,
    OPENING,
    POST,
    PRE,
    REGULAR,
)

KEYS: Final = ("symbol", "source", "session_date")
# Trades in the order in which they happened; the rest tells apart what shares time and number.
EVENT_ORDER: Final = ("event_at", "seq", "topic", "generation", "partition", "offset")

COLUMNS: Final[Columns] = {
    "symbol": "string",
    "source": "string",
    "session_date": "date",
    "open_at": "timestamp",
    "close_at": "timestamp",
    "n_minutes": "int",
    "segment": "string",
    "minute": "int",
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": VOLUME_SUM,
    "n": "bigint",
    "mean": "double",
    "ss": "double",
    "rn": "bigint",
    "rmean": "double",
    "rss": "double",
    "dv": "double",
    "simulated": "boolean",
    "as_of": "timestamp",
}
"""A minute's row.

``n_minutes`` is the session's length. ``segment`` is ``regular`` for ``[open, close)``, else
``pre`` or ``post``; ``opening`` and ``closing`` are the auctions' prints outside regular hours, at
most ``AUCTION_MINUTES`` away. ``minute`` counts from the open up to the close, and from
``n_minutes`` after it. ``mean``, ``ss`` and ``dv`` (the sum of difference times size) are those of
the differences to ``low``; ``r*`` those of the log returns, each against the trade before it in the
segment. ``ss`` is the sum of squared deviations from the mean. ``as_of`` is the last fetch.
"""


def minutes(trades: DataFrame, sessions: DataFrame) -> DataFrame:
    """Return the minutes with a trade, in ``COLUMNS``.

    Only trades with a positive price and a size that is not negative count.

    Args:
        trades: ``effective.effective`` of ``silver.trades``, whole sessions.
        sessions: session_date, open_at, close_at.
    """
    return _summed(_related(placed(trades, sessions)))


def exact_difference(price: str, anchor: str) -> Column:
    """Return a difference of two decimals, exact before it is a float."""
    return (F.col(price) - F.col(anchor)).cast("double")


def micros(name: str) -> Column:
    """Return a timestamp as microseconds since 1970."""
    return F.unix_micros(name)


def placed(trades: DataFrame, sessions: DataFrame) -> DataFrame:
    """Return the trades that count, each with its segment and minute; see ``COLUMNS``."""
    days = F.broadcast(sessions.select("session_date", "open_at", "close_at"))
    counted = (F.col("price") > 0) & (F.col("size") >= 0)
    joined = trades.where(counted).join(days, "session_date")
    length = F.ceil((micros("close_at") - micros("open_at")) / F.lit(MINUTE_US))
    sized = joined.withColumns({"n_minutes": length.cast("int"), "segment": _segment()})
    return sized.withColumn("minute", _minute().cast("int"))


def _segment() -> Column:
    early, late = F.col("event_at") < F.col("open_at"), F.col("event_at") >= F.col("close_at")
    nearly = F.lit(AUCTION_MINUTES * MINUTE_US)
    opening = F.array_contains("conditions", OPENING_AUCTION) & (
        micros("open_at") - micros("event_at") <= nearly
    )
    closing = F.array_contains("conditions", CLOSING_AUCTION) & (
        micros("event_at") - micros("close_at") <= nearly
    )
    before = F.when(opening, OPENING).otherwise(PRE)
    after = F.when(closing, CLOSING).otherwise(POST)
    return F.when(early, before).when(late, after).otherwise(REGULAR)


def _minute() -> Column:
    since_open = F.floor((micros("event_at") - micros("open_at")) / F.lit(MINUTE_US))
    since_close = F.floor((micros("event_at") - micros("close_at")) / F.lit(MINUTE_US))
    is_after = F.col("segment").isin(CLOSING, POST)
    return F.when(is_after, F.col("n_minutes") + since_close).otherwise(since_open)


def _related(placed: DataFrame) -> DataFrame:
    """Add each trade's return, and of its minute the first, last and lowest price."""
    # One sort serves both: the second's partition and order are the first's.
    session = Window.partitionBy(*KEYS).orderBy("segment", "minute", *EVENT_ORDER)
    ordered = Window.partitionBy(*KEYS, "segment", "minute").orderBy(*EVENT_ORDER)
    minute = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    same = F.lag("segment").over(session) == F.col("segment")
    before = F.when(same, F.lag("price").over(session))
    # log1p of an exact difference: the logarithm of a ratio near 1 would lose half its digits.
    change = (F.col("price") - before).cast("double") / before.cast("double")
    related = placed.withColumns(
        {
            "r": F.log1p(change),
            "open": F.first("price").over(minute),
            "close": F.last("price").over(minute),
            "low": F.min("price").over(minute),
        }
    )
    return related.withColumn("d", exact_difference("price", "low"))


def _summed(related: DataFrame) -> DataFrame:
    grouped = related.groupBy(*KEYS, "open_at", "close_at", "n_minutes", "segment", "minute")
    found = grouped.agg(
        F.first("open").alias("open"),
        F.max("price").alias("high"),
        F.first("low").alias("low"),
        F.first("close").alias("close"),
        F.sum("size").cast(VOLUME_SUM).alias("volume"),
        F.count("*").alias("n"),
        F.avg("d").alias("mean"),
        (F.var_pop("d") * F.count("*")).alias("ss"),
        F.count("r").alias("rn"),
        F.avg("r").alias("rmean"),
        (F.var_pop("r") * F.count("r")).alias("rss"),
        F.sum(F.col("d") * F.col("size").cast("double")).alias("dv"),
        F.bool_or("simulated").alias("simulated"),
        F.max("fetched_at").alias("as_of"),
    )
    return found.select(*COLUMNS)
