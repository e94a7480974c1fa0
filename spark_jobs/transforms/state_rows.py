"""What the stream's state tells, as rows: the minutes of a session with news, counts of a share."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import PRICE, VOLUME_SUM
from spark_jobs.transforms import minutes
from spark_jobs.transforms.minutes import KEYS
from spark_jobs.transforms.segments import REGULAR
from spark_jobs.transforms.sitting import Key, News

LEFT_OUT: Final = ("late", "duplicate", "unmatched", "beheaded")
"""Counts of events that became part of no minute."""

_PRICES: Final = ("open", "high", "low", "close")
_SESSION: Final = {
    "symbol": "string",
    "source": "string",
    "day": "int",
    "open_us": "bigint",
    "close_us": "bigint",
    "n_minutes": "int",
    "changed_from_us": "bigint",
    "final_from_us": "bigint",
    "final_to_us": "bigint",
    "is_first": "boolean",
}
_MINUTE: Final = {
    "segment": "string",
    "minute": "int",
    "in_windows": "boolean",
    "in_bars": "boolean",
    **{f"{name}_millionths": "bigint" for name in _PRICES},
    "volume_text": "string",
    "n": "bigint",
    "mean": "double",
    "ss": "double",
    "rn": "bigint",
    "rmean": "double",
    "rss": "double",
    "dv": "double",
    "simulated": "boolean",
    "as_of_us": "bigint",
}
_SUMMARY: Final = {"counts": "string"}
_COLUMNS: Final = {**_SESSION, **_MINUTE, **_SUMMARY}
SCHEMA: Final = ", ".join(f"`{name}` {kind}" for name, kind in _COLUMNS.items())


def rows(source: str, told: News) -> pd.DataFrame:
    """Return the minutes of a session with news, one row each, in ``SCHEMA``.

    ``is_first`` marks one row of each session. ``in_bars`` says whether the minute's bar is to be
    written, ``in_windows`` whether the minute is one that windows are made of. A minute whose
    trades have all been taken back still makes the row of its bar, if no other minute does, and
    those of the session's windows, if nothing is left in regular hours: rows without observations
    take the place of what was written before.
    """
    session = told.session
    head = (
        *(told.symbol, source, told.day, session.open_at, session.close_at, session.n_minutes),
        *(told.changed_from, told.final_from, told.final_to),
    )
    bars, standing = _standing_in(told)
    return _frame(
        (
            *head,
            number == 0,
            *key,
            bool(one.n) or key == standing,
            told.wants(session.end(session.bar(key))) and key in bars,
            *(one.open, one.high, one.low, one.close, one.volume, one.n, one.mean, one.ss),
            *(one.rn, one.rmean, one.rss, one.dv, one.simulated, one.as_of, None),
        )
        for number, (key, one) in enumerate(session.minutes.items())
    )


def _standing_in(told: News) -> tuple[set[Key], Key | None]:
    """Return the minutes that make bars, and the one that makes windows where no trade does."""
    session = told.session
    traded = {key for key, one in session.minutes.items() if one.n}
    served = {session.bar(key) for key in traded}
    alone = {key for key in session.minutes if session.bar(key) not in served}
    if any(segment == REGULAR for segment, _ in traded):
        return traded | alone, None
    return traded | alone, min((key for key in session.minutes if key[0] == REGULAR), default=None)


def summary(source: str, counts: Mapping[str, int]) -> pd.DataFrame:
    """Return a share's counts of a batch, as one row of ``SCHEMA``."""
    found = dict.fromkeys(_COLUMNS) | {
        "source": source,
        "counts": msgspec.json.encode(counts).decode(),
    }
    return _frame([tuple(found.values())])


def _frame(values: Any) -> pd.DataFrame:  # noqa: ANN401 - an iterable of tuples
    return pd.DataFrame(list(values), columns=[*_COLUMNS], dtype=object)


def summaries(told: DataFrame) -> DataFrame:
    """Return the counts: source, counts (JSON)."""
    return told.where(F.col("counts").isNotNull()).select("source", *_SUMMARY)


def minutes_of(told: DataFrame) -> DataFrame:
    """Return the minutes: ``minutes.COLUMNS``, and in_windows, in_bars."""
    found = told.where(F.col("counts").isNull())
    converted = {
        "session_date": _date(),
        "open_at": F.timestamp_micros("open_us"),
        "close_at": F.timestamp_micros("close_us"),
        **{name: _price(name) for name in _PRICES},
        "volume": F.col("volume_text").cast(VOLUME_SUM),
        "as_of": F.timestamp_micros("as_of_us"),
    }
    return found.withColumns(converted).select(*minutes.COLUMNS, "in_windows", "in_bars")


def observed(windows: DataFrame) -> DataFrame:
    """Return windows of which no minute without a trade is covered.

    Only the one that stands for a session without any could be; see ``rows``.
    """
    covered = {
        name: F.when(F.col(f"n_obs_{width}") > 0, F.col(name)).otherwise(0.0)
        for width in ("15m", "1h")
        for name in [f"coverage_{width}"]
    }
    return windows.withColumns(covered)


def wanted(computed: DataFrame, told: DataFrame, end: str) -> DataFrame:
    """Return the rows that the news ask for, with ``is_final``.

    Args:
        computed: rows of the sessions told of.
        told: rows in ``SCHEMA``.
        end: the column with the instant at which a row's time is over.
    """
    sessions = (
        told.where("is_first")
        .withColumn("session_date", _date())
        .select(*KEYS, "changed_from_us", "final_from_us", "final_to_us")
    )
    over = F.unix_micros(end)
    changed = F.coalesce(over > F.col("changed_from_us"), F.lit(False))
    final = over <= F.col("final_to_us")
    joined = computed.join(F.broadcast(sessions), [*KEYS])
    due = joined.where(changed | ((over > F.col("final_from_us")) & final))
    return due.withColumn("is_final", final).select(*computed.columns, "is_final")


def _date() -> Column:
    return F.date_from_unix_date("day")


def _price(name: str) -> Column:
    whole = F.col(f"{name}_millionths").cast("decimal(20,0)")
    return (whole * F.lit(Decimal("0.000001"))).cast(PRICE)
