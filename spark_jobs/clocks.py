"""The replay clocks that a metric's commit has seen: the newest fetch of each source.

They travel as a snapshot property, so that a run need not look for them in all that there is.
"""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

Clocks = dict[str, datetime]

CLOCKS: Final = "tapehouse.clocks"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def encode(clocks: Mapping[str, datetime]) -> str:
    """Return clocks as the property's text."""
    return json.dumps({source: clocks[source].isoformat() for source in sorted(clocks)})


def decode(text: str | None) -> Clocks | None:
    """Return the clocks of a property; None where no commit has any."""
    if text is None:
        return None
    return {source: datetime.fromisoformat(now) for source, now in json.loads(text).items()}


def merge(first: Mapping[str, datetime], second: Mapping[str, datetime]) -> Clocks:
    """Return the later of the two for each source."""
    return {
        source: max(clocks[source] for clocks in (first, second) if source in clocks)
        for source in first.keys() | second.keys()
    }


def shown() -> Column:
    """Return what a row shows of its source's clock: its fetch, in microseconds since 1970.

    Nothing is fetched after it was produced: a fetch beyond Kafka's timestamp is a wrong clock's,
    and one such record would make all rows of its source final, those to come too.
    """
    return F.unix_micros(F.least("fetched_at", "kafka_timestamp"))


def read(rows: DataFrame) -> Clocks:
    """Return the newest fetch of each source among these rows."""
    newest = rows.groupBy("source").agg(F.max(shown()).alias("us"))
    return {row["source"]: moment(row["us"]) for row in newest.collect()}


def moment(microseconds: int) -> datetime:
    """Return an instant given in microseconds since 1970, the earliest that a clock can tell.

    What claims to have been fetched before has a clock that was never set (year 1 is what some
    languages take for no time); before it there would be no instant to wait for late records from.
    """
    return _EPOCH + timedelta(microseconds=max(0, microseconds))


def open_since(
    before: Mapping[str, datetime],
    now: Mapping[str, datetime],
    lateness: timedelta,
    zone: ZoneInfo,
) -> date | None:
    """Return the first session that may have rows which were not final and can be so now.

    None where no clock has moved. A session's rows end by its midnight, so that one which was not
    final at ``before`` ends after ``before - lateness``.
    """
    moved = [then for source, then in before.items() if now.get(source, then) > then]
    return (min(moved) - lateness).astimezone(zone).date() if moved else None
