"""The exchange's state and its clock: what alerts of quiet feeds depend on."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import Metric

from infra.prometheus.exporter.source import one, seconds
from ingestion.calendar import Calendar
from ingestion.clock import Clock


class SessionClock:
    """Counts seconds of regular trading: nights, weekends and holidays take no time."""

    def __init__(self, calendar: Calendar) -> None:
        self.sessions = calendar.sessions()
        self._opens = [one.open_at for one in self.sessions]
        lengths = ((one.close_at - one.open_at).total_seconds() for one in self.sessions)
        self._before = list(accumulate(lengths, initial=0.0))

    def at(self, moment: datetime) -> float:
        """Return the seconds of trading from the calendar's beginning to a moment."""
        began = bisect_right(self._opens, moment)
        if began == 0:
            return 0.0
        session = self.sessions[began - 1]
        run = (min(moment, session.close_at) - session.open_at).total_seconds()
        return self._before[began - 1] + run

    def between(self, earlier: datetime, later: datetime) -> float:
        """Return the seconds of trading between two moments, 0 where they are the other way."""
        return max(0.0, self.at(later) - self.at(earlier))


class Market:
    """The session that is open, else the next one."""

    name = "calendar"

    def __init__(self, clock: Clock, sessions: SessionClock) -> None:
        self._clock = clock
        self._sessions = sessions.sessions

    def read(self) -> Iterator[Metric]:
        """Return the market's state; behind the calendar's end there is no session any more."""
        now = self._clock.now()
        session = next((one for one in self._sessions if now < one.close_at), None)
        is_open = session is not None and session.open_at <= now
        yield one("market_open", "1 during regular trading, by the exchange's calendar", is_open)
        yield one(
            "market_calendar_end_timestamp_seconds",
            "When the last session that the calendar knows ends; then no market would ever open",
            seconds(self._sessions[-1].close_at),
        )
        if session is None:
            return
        yield one(
            "market_session_half_day", "1 where that session closes early", session.is_half_day
        )
        yield one(
            "market_session_open_timestamp_seconds",
            "When the session that is open began, or the next one will",
            seconds(session.open_at),
        )
        yield one(
            "market_session_close_timestamp_seconds",
            "When that session ends",
            seconds(session.close_at),
        )
