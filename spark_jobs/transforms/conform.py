"""Parsed rows to typed ones, each with its session or with the reason why it has no place.

Numbers are converted exactly or not at all. ``reason`` is NULL for a row that is an event, and
``kind`` names the event's table.
"""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import BARS, CORPORATE_ACTIONS, EVENTS, TRADES

_KINDS: Final = {
    "bar.v1": BARS.name,
    "corporate_action.v1": CORPORATE_ACTIONS.name,
    "trade.v1": TRADES.name,
}
_NUMBERS: Final = {
    name: kind
    for table in EVENTS
    for name, kind in table.columns.items()
    if (kind.startswith("decimal") or kind == "bigint") and name != "offset"
}
_INSTANTS: Final = {
    "event_at": "event_time",
    "fetched_at": "fetched_at",
    "start_at": "start",
    "as_of": "as_of",
}
_DATES: Final = {"ex_date": "ex_date", "bar_session": "bar_session"}
# Wide enough for 20 digits before the point and for every digit that the contract allows after it.
_EXACT: Final = "decimal(38,18)"
_BIGINT_LIMIT: Final = 2**63


def conform(parsed: DataFrame, sessions: DataFrame, zone: str) -> DataFrame:
    """Type the rows and place them in sessions.

    Args:
        parsed: columns of ``decode.SCHEMA``.
        sessions: session_date, one row per session of the exchange.
        zone: the exchange's time zone.
    """
    typed = _typed(parsed)
    local = F.to_date(F.from_utc_timestamp("event_at", zone))
    known = F.broadcast(sessions.select("session_date"))
    placed = typed.withColumn("local_date", local).join(
        known, F.col("local_date") == F.col("session_date"), "left"
    )
    return placed.transform(_judged).drop("local_date", "bar_session", "bad_numbers", "bad_times")


def _typed(parsed: DataFrame) -> DataFrame:
    numbers = {name: F.col(name).try_cast(kind) for name, kind in _NUMBERS.items()}
    instants = {name: F.col(text).try_cast("timestamp") for name, text in _INSTANTS.items()}
    dates = {name: F.col(text).try_cast("date") for name, text in _DATES.items()}
    kept = [name for name in parsed.columns if name not in (numbers | instants | dates)]
    bad_numbers = [F.when(_inexact(name), F.lit(name)) for name in numbers]
    bad_times = [
        F.when(F.col(text).isNotNull() & converted.isNull(), F.lit(text))
        for text, converted in [
            *((text, instants[name]) for name, text in _INSTANTS.items()),
            *((text, dates[name]) for name, text in _DATES.items()),
        ]
    ]
    return parsed.select(
        *kept,
        *(column.alias(name) for name, column in (numbers | instants | dates).items()),
        F.timestamp_millis("kafka_ms").alias("kafka_timestamp"),
        _kind().alias("kind"),
        F.concat_ws(", ", *bad_numbers).alias("bad_numbers"),
        F.concat_ws(", ", *bad_times).alias("bad_times"),
    )


def _inexact(name: str) -> Column:
    exact = F.col(name).try_cast(_EXACT)
    kind = _NUMBERS[name]
    if kind == "bigint":
        whole = exact == F.floor(exact)
        fits = whole & (exact >= F.lit(-_BIGINT_LIMIT)) & (exact < F.lit(str(_BIGINT_LIMIT)))
    else:
        fits = exact.try_cast(kind) == exact
    return F.col(name).isNotNull() & ~F.coalesce(fits, F.lit(False))


def _kind() -> Column:
    chosen = [F.when(F.col("schema") == name, kind) for name, kind in _KINDS.items()]
    return F.when(F.col("reason").isNull(), F.coalesce(*chosen))


def _judged(placed: DataFrame) -> DataFrame:
    no_time = F.col("bad_times") != ""
    inexact = F.col("bad_numbers") != ""
    homeless = F.col("session_date").isNull()
    strayed = (F.col("kind") == BARS.name) & (F.col("session_date") != F.col("bar_session"))
    faults = [
        (no_time, "contract", F.concat(F.lit("no such time or date: "), "bad_times")),
        (inexact, "number_range", F.concat(F.lit("does not fit exactly: "), "bad_numbers")),
        (homeless, "no_session", _no_session()),
        (strayed, "contract", _other_session()),
    ]
    event = F.col("reason").isNull()
    reason, detail = _null(), _null()
    for found, name, why in reversed(faults):
        reason = F.when(found, F.lit(name)).otherwise(reason)
        detail = F.when(found, why).otherwise(detail)
    return placed.withColumns(
        {
            "reason": F.when(event, reason).otherwise(F.col("reason")),
            "detail": F.when(event, detail).otherwise(F.col("detail")),
        }
    )


def _no_session() -> Column:
    return F.concat(F.lit("the exchange is closed on "), F.col("local_date").cast("string"))


def _other_session() -> Column:
    return F.concat(
        *(F.lit("session_date is "), F.col("bar_session").cast("string")),
        *(F.lit(", event_time lies in "), F.col("session_date").cast("string")),
    )


def _null() -> Column:
    return F.lit(None).cast("string")
