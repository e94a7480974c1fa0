"""When runs are due: by an exchange's sessions, holidays, half days and clock changes included."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Self

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from ingestion import calendar
from ingestion.calendar import Session

# Before any session of the calendar.
_LONG_AGO: Final = datetime(1900, 1, 1, tzinfo=UTC)
Now = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class _ByIntervals(Timetable):
    """Runs with the intervals of a list, each due ``delay`` after its interval's end.

    ``now`` is the wall clock; without catch-up nothing older than the last interval that is due is
    scheduled.
    """

    def __init__(self, exchange: str, delay: timedelta = timedelta()) -> None:
        self.exchange = exchange
        self.delay = delay
        self.now: Now = _now

    def intervals_of(self, session: Session) -> Iterator[tuple[datetime, datetime]]:
        """Yield a session's intervals in order."""
        raise NotImplementedError

    @cached_property
    def _intervals(self) -> list[tuple[datetime, datetime]]:
        sessions = calendar.get(self.exchange).sessions()
        return [one for session in sessions for one in self.intervals_of(session)]

    @cached_property
    def _starts(self) -> list[datetime]:
        return [start for start, _ in self._intervals]

    @cached_property
    def _due(self) -> list[datetime]:
        return [end + self.delay for _, end in self._intervals]

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Return the last interval that was due then; that of the first one before it."""
        at = bisect_right(self._due, run_after) - 1
        return _interval(self._intervals[max(at, 0)])

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        """Return the first interval after the last one that the restriction allows."""
        last = last_automated_data_interval
        at = bisect_right(self._starts, last.start if last else _LONG_AGO)
        if restriction.earliest is not None:
            at = max(at, bisect_left(self._starts, restriction.earliest))
        if not restriction.catchup:
            at = max(at, bisect_right(self._due, self.now()) - 1)
        if at >= len(self._intervals):
            return None
        if restriction.latest is not None and self._starts[at] > restriction.latest:
            return None
        interval = _interval(self._intervals[at])
        return DagRunInfo(run_after=_pendulum(self._due[at]), data_interval=interval)

    def serialize(self) -> dict[str, Any]:
        return {"exchange": self.exchange, "delay_s": self.delay.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        return cls(data["exchange"], timedelta(seconds=data["delay_s"]))


class SessionTimetable(_ByIntervals):
    """Once after every session, with the session from open to close as the interval."""

    description = "after every session of the exchange"

    @property
    def summary(self) -> str:
        minutes = self.delay.total_seconds() / 60
        return f"{self.exchange} close + {minutes:.0f} min"

    def intervals_of(self, session: Session) -> Iterator[tuple[datetime, datetime]]:
        yield session.open_at, session.close_at


class IntradayTimetable(_ByIntervals):
    """Every ``every`` inside sessions, on the grid of the session's open; the last may be short."""

    description = "again and again while the exchange is open"

    def __init__(
        self,
        exchange: str,
        delay: timedelta = timedelta(),
        every: timedelta = timedelta(minutes=15),
    ) -> None:
        super().__init__(exchange, delay)
        self.every = every

    @property
    def summary(self) -> str:
        return f"every {self.every.total_seconds() / 60:.0f} min of {self.exchange} sessions"

    def intervals_of(self, session: Session) -> Iterator[tuple[datetime, datetime]]:
        steps = -(-(session.close_at - session.open_at) // self.every)
        ends = [min(session.open_at + n * self.every, session.close_at) for n in range(steps + 1)]
        return pairwise(ends)

    def serialize(self) -> dict[str, Any]:
        return super().serialize() | {"every_s": self.every.total_seconds()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:
        delay, every = (timedelta(seconds=data[name]) for name in ("delay_s", "every_s"))
        return cls(data["exchange"], delay, every)


def _interval(found: tuple[datetime, datetime]) -> DataInterval:
    return DataInterval(*map(_pendulum, found))


def _pendulum(moment: datetime) -> pendulum.DateTime:
    return pendulum.instance(moment)
