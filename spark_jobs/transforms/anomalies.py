"""What is odd about trades, windows and sessions: rows with rule, value and threshold.

| rule | subject | value | threshold |
|---|---|---|---|
| ``trade_price`` | a trade | robust z-score of its price in the 50 trades before it | ±25 |
| ``trade_range`` | a trade | its price | low or high of the day's bar |
| ``trade_stale`` | a trade | seconds from the trade to its fetch | 900; -60: the future |
| ``window_volume`` | the end of 5 minutes | robust z-score of ln(1 + volume) in 24 before | 4.5 |
| ``session_jump`` | the session | median price / close of the session before - 1 | ±0.3 |

A trade is named by its event_id. A flag changes nothing: bars and windows count what is flagged.
The trades are those that stand, so that a corrected one is judged by what it is now, and is as old
as its correction.
"""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.types import DoubleType, StructType

from spark_jobs.schemas import ANOMALIES, COMPUTED_LATER
from spark_jobs.transforms.daily import daily_metrics
from spark_jobs.transforms.minutes import EVENT_ORDER, KEYS, micros, placed
from spark_jobs.transforms.scores import MEDIAN, SCORE, Trailing
from spark_jobs.transforms.segments import MINUTE_US, REGULAR

TRADE_PRICE: Final = "trade_price"
TRADE_RANGE: Final = "trade_range"
TRADE_STALE: Final = "trade_stale"
WINDOW_VOLUME: Final = "window_volume"
SESSION_JUMP: Final = "session_jump"
RULES: Final = (TRADE_PRICE, TRADE_RANGE, TRADE_STALE, WINDOW_VOLUME, SESSION_JUMP)

# Below 5 basis points a price only bounces between bid and ask.
PRICES: Final = Trailing(last=50, fewest=20, relative_floor=0.0005)
# Sizes have heavy tails: 5 minutes with a dozen trades vary by a factor of e^0.5 without a cause.
VOLUMES: Final = Trailing(last=24, fewest=6, floor=0.5)
# Of 25,000 clean trades of a generated market the highest score was 18, of 2,400 windows 4.5: a
# price that has moved stays beyond the median for half of the 50 trades.
PRICE_SCORE: Final = 25.0
VOLUME_SCORE: Final = 4.5
STALE_S: Final = 900.0
FUTURE_S: Final = -60.0
# The circuit breakers of a single stock stop it long before; the smallest usual split is 3 for 2.
JUMP: Final = 0.3
_GRID: Final = 5


def anomalies(
    trades: DataFrame, sessions: DataFrame, bars: DataFrame, actions: DataFrame
) -> DataFrame:
    """Return one row per rule and subject that breaks it.

    Args:
        trades: ``effective.effective`` of ``silver.trades``, whole sessions.
        sessions: session_date, open_at, close_at, previous_date (that of the session before).
        bars: rows of ``silver.bars``.
        actions: rows of ``silver.corporate_actions``.
    """
    there = placed(trades, sessions)
    days = _days(_near(bars, trades, sessions))
    regular = there.where(F.col("segment") == REGULAR)
    found = (
        _of_trades(there, days)
        .unionByName(_of_windows(regular))
        .unionByName(_of_sessions(regular, sessions, days, actions))
    )
    return found.select(*(name for name in ANOMALIES.columns if name not in COMPUTED_LATER))


def _near(bars: DataFrame, trades: DataFrame, sessions: DataFrame) -> DataFrame:
    """Return the bars of the trades' sessions and of those before: a history is not read whole."""
    mine = F.broadcast(trades.select("session_date").distinct())
    both = F.explode(F.array("session_date", "previous_date")).alias("session_date")
    wanted = sessions.join(mine, "session_date").select(both).distinct()
    return bars.join(F.broadcast(wanted), "session_date", "left_semi")


def _days(bars: DataFrame) -> DataFrame:
    """Return low, high and close per symbol and session as traded; real before simulated."""
    raw = daily_metrics(bars.where(F.col("adjustment") == "raw"))
    best = Window.partitionBy("symbol", "session_date").orderBy(
        "simulated", F.desc("as_of"), "source"
    )
    chosen = raw.withColumn("nth", F.row_number().over(best)).where(F.col("nth") == 1)
    return chosen.select("symbol", "session_date", "daily_low", "daily_high", "daily_close")


def _of_trades(there: DataFrame, days: DataFrame) -> DataFrame:
    order = Window.partitionBy(*KEYS, "segment").orderBy(*EVENT_ORDER)
    needed = ("event_id", "price", "simulated", "event_at", "fetched_at")
    numbered = there.withColumn("nth", F.row_number().over(order)).select(
        *KEYS, "segment", "nth", *needed, F.col("price").cast("double").alias("x")
    )
    scored = _scored(numbered, (*KEYS, "segment"), PRICES).join(
        F.broadcast(days), ["symbol", "session_date"], "left"
    )
    regular, age = F.col("segment") == REGULAR, _age()
    low, high = (F.col(name).cast("double") for name in ("daily_low", "daily_high"))
    among = F.concat(F.lit("median "), F.col(MEDIAN).cast("string"))
    flags = [
        *_beyond(SCORE, PRICE_SCORE, TRADE_PRICE, among),
        _flag(regular & (F.col("x") < low), TRADE_RANGE, F.col("x"), low, F.lit("below low")),
        _flag(regular & (F.col("x") > high), TRADE_RANGE, F.col("x"), high, F.lit("above high")),
        _flag(age > STALE_S, TRADE_STALE, age, F.lit(STALE_S), F.lit("late")),
        _flag(age < FUTURE_S, TRADE_STALE, age, F.lit(FUTURE_S), F.lit("from the future")),
    ]
    named = scored.withColumn("subject", F.col("event_id")).withColumn("as_of", F.col("fetched_at"))
    return _flagged(named, flags)


def _age() -> Column:
    return (micros("fetched_at") - micros("event_at")).cast("double") / 1e6


def _of_windows(regular: DataFrame) -> DataFrame:
    """Find loud 5-minute windows, but the first and the last: auctions are not usual.

    A quiet one is no news: where trades are few, many windows have next to none.
    """
    end = (F.floor(F.col("minute") / _GRID) + 1).cast("int") * _GRID
    windows = (
        regular.withColumn("end", end)
        .groupBy(*KEYS, "open_at", "n_minutes", "end")
        .agg(
            F.log1p(F.sum("size").cast("double")).alias("x"),
            F.bool_or("simulated").alias("simulated"),
            F.max("fetched_at").alias("as_of"),
        )
        .where((F.col("end") > _GRID) & (F.col("end") < F.col("n_minutes")))
    )
    order = Window.partitionBy(*KEYS).orderBy("end")
    scored = _scored(windows.withColumn("nth", F.row_number().over(order)), KEYS, VOLUMES)
    end_at = F.timestamp_micros(micros("open_at") + F.col("end").cast("bigint") * MINUTE_US)
    subject = F.date_format("event_at", "yyyy-MM-dd'T'HH:mm:ss'Z'")
    usual = F.concat(F.lit("median "), F.expm1(MEDIAN).cast("string"), F.lit(" shares"))
    named = scored.withColumn("event_at", end_at).withColumn("subject", subject)
    score, limit = F.col(SCORE), F.lit(VOLUME_SCORE)
    return _flagged(named, [_flag(score > limit, WINDOW_VOLUME, score, limit, usual)])


def _of_sessions(
    regular: DataFrame, sessions: DataFrame, days: DataFrame, actions: DataFrame
) -> DataFrame:
    """Compare a session's median price with the close before it, the splits of the day undone."""
    own = regular.groupBy(*KEYS, "open_at").agg(
        F.median("price").alias("price"),
        F.bool_or("simulated").alias("simulated"),
        F.max("fetched_at").alias("as_of"),
    )
    before = days.select(
        "symbol", F.col("session_date").alias("previous_date"), F.col("daily_close").alias("before")
    )
    calendar = F.broadcast(sessions.select("session_date", "previous_date"))
    known = own.join(calendar, "session_date").join(
        F.broadcast(before), ["symbol", "previous_date"]
    )
    split = known.join(F.broadcast(_splits(actions)), ["symbol", "session_date"], "left")
    reference = F.col("before").cast("double") / F.coalesce("ratio", F.lit(1.0))
    named = split.withColumns(
        {
            "score": F.col("price").cast("double") / reference - 1,
            "subject": F.col("session_date").cast("string"),
            "event_at": F.col("open_at"),
        }
    )
    detail = F.concat(
        *(F.lit("median "), F.col("price").cast("string")),
        *(F.lit(", close before "), F.col("before").cast("string")),
    )
    return _flagged(named, _beyond("score", JUMP, SESSION_JUMP, detail))


def _splits(actions: DataFrame) -> DataFrame:
    """Return the ratio (new shares per old) of each symbol and ex-date; told twice it is one."""
    splits = actions.where((F.col("type") == "split") & (F.col("ratio") > 0))
    newest = F.max_by("ratio", F.struct("as_of", "kafka_timestamp", "partition", "offset"))
    one = splits.groupBy("symbol", "ex_date").agg(newest.cast("double").alias("ratio"))
    return one.withColumnRenamed("ex_date", "session_date")


def _scored(numbered: DataFrame, keys: tuple[str, ...], trailing: Trailing) -> DataFrame:
    schema = StructType([*numbered.schema.fields])
    schema = schema.add(SCORE, DoubleType()).add(MEDIAN, DoubleType())
    # Without annotations, which applyInArrow reads and expects to be complete.
    return numbered.groupBy(*keys).applyInArrow(lambda rows: trailing.scored(rows, "x"), schema)


def _beyond(value: str, threshold: float, rule: str, detail: Column) -> list[Column]:
    """Flag what lies beyond a threshold on either side, each with its own sign."""
    found = F.col(value)
    return [
        _flag(found > threshold, rule, found, F.lit(threshold), detail),
        _flag(found < -threshold, rule, found, F.lit(-threshold), detail),
    ]


def _flag(broken: Column, rule: str, value: Column, threshold: Column, detail: Column) -> Column:
    return F.when(
        broken,
        F.struct(
            F.lit(rule).alias("rule"),
            value.alias("value"),
            threshold.alias("threshold"),
            detail.alias("detail"),
        ),
    )


def _flagged(named: DataFrame, flags: list[Column]) -> DataFrame:
    broken = F.filter(F.array(*flags), lambda flag: flag.isNotNull())
    return named.select(*KEYS, "subject", "simulated", "event_at", "as_of", F.inline(broken))
