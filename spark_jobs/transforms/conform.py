"""Parsed rows to rows in their sessions, each with its session or the reason why it has none.

``reason`` is NULL for a row that is an event, and ``kind`` names the event's table.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import BARS


def conform(parsed: DataFrame, sessions: DataFrame, zone: str) -> DataFrame:
    """Place the rows in sessions.

    Args:
        parsed: columns of ``layout``.
        sessions: session_date, one row per session of the exchange.
        zone: the exchange's time zone.
    """
    local = F.to_date(F.from_utc_timestamp("event_at", zone))
    known = F.broadcast(sessions.select("session_date"))
    placed = parsed.withColumn("local_date", local).join(
        known, F.col("local_date") == F.col("session_date"), "left"
    )
    return placed.transform(_judged).drop("local_date", "bar_session")


def _judged(placed: DataFrame) -> DataFrame:
    homeless = F.col("session_date").isNull()
    strayed = (F.col("kind") == BARS.name) & (F.col("session_date") != F.col("bar_session"))
    reason = F.when(homeless, "no_session").when(strayed, "contract")
    detail = F.when(homeless, _no_session()).when(strayed, _other_session())
    return placed.withColumns(
        {
            "reason": F.coalesce("reason", reason),
            "detail": F.when(F.col("reason").isNull(), detail).otherwise(F.col("detail")),
        }
    )


def _no_session() -> Column:
    return F.concat(F.lit("the exchange is closed on "), F.col("local_date").cast("string"))


def _other_session() -> Column:
    return F.concat(
        *(F.lit("session_date is "), F.col("bar_session").cast("string")),
        *(F.lit(", event_time lies in "), F.col("session_date").cast("string")),
    )
