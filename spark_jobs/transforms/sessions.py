"""Filters on sessions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Beyond this a list costs the planner more than the files that a range reads in vain.
_LISTED: Final = 400


@dataclass(frozen=True)
class Sessions:
    """Days, and a range of them: from ``start`` to ``end``, both included; None is open."""

    days: frozenset[date] = frozenset()
    ranges: tuple[tuple[date | None, date | None], ...] = ()

    def filter(self) -> Column:
        """Return the sessions as a filter on ``session_date`` that prunes partitions and files."""
        return reduce(lambda left, right: left | right, map(_between, self.ranges), self._listed())

    def until(self, days: int) -> "Sessions":
        """Return the sessions up to so many days after each of these, these included."""
        later = {day + timedelta(days=n) for day in self.days for n in range(days + 1)}
        ranges = ((start, end and end + timedelta(days=days)) for start, end in self.ranges)
        return Sessions(frozenset(later), tuple(ranges))

    def _listed(self) -> Column:
        return in_sessions(self.days)


EVERY: Final = Sessions(ranges=((None, None),))


def in_sessions(days: Iterable[date]) -> Column:
    """Return a filter on ``session_date`` that prunes partitions and files."""
    found = sorted(days)
    session = F.col("session_date")
    if len(found) > _LISTED:
        return session.between(found[0], found[-1])
    return session.isin(found) if found else F.lit(False)


def _between(bounds: tuple[date | None, date | None]) -> Column:
    start, end = bounds
    session = F.col("session_date")
    low = session >= start if start else F.lit(True)
    return low & (session <= end if end else F.lit(True))
