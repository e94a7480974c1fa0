"""An exchange's clock: what the market is doing at a moment, and how much trading lies between two.

Days are the exchange's own, not UTC's: at 01:00 UTC it is still the evening of the session before.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from typing import Literal

from ingestion.calendar import Calendar, Session

# As gold_kpi.market_state, and `holiday` for a weekday without a session.
State = Literal["pre", "open", "post", "closed", "holiday", "unknown"]
_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True)
class Market:
    """What the exchange is doing; `label` has times in the exchange's zone."""

    state: State
    label: str
    session: Session | None
    """Today's; None on a day without."""


class ExchangeClock:
    """One exchange's sessions as a clock that runs while it is open."""

    def __init__(self, calendar: Calendar) -> None:
        """Take a calendar of at least one session."""
        self._calendar = calendar
        self.zone = calendar.zone
        self.sessions = calendar.sessions()
        self._opens = [session.open_at for session in self.sessions]
        self._closes = [session.close_at for session in self.sessions]
        lengths = (session.close_at - session.open_at for session in self.sessions)
        self._traded = list(accumulate(lengths, initial=timedelta()))  # before each session
        self.ends_at = self.midnight(self.sessions[-1].session_date + _DAY)

    def begun(self, moment: datetime) -> int:
        """Return the number of the last session that has begun, -1 before the first."""
        return bisect_right(self._opens, moment) - 1

    def ended(self, moment: datetime) -> int:
        """Return the number of the last session that has ended, -1 before the first."""
        return bisect_right(self._closes, moment) - 1

    def trading(self, moment: datetime) -> timedelta:
        """Return how long the exchange has been open up to a moment, since its first session."""
        number = self.begun(moment)
        if number < 0:
            return timedelta()
        begun = self.sessions[number]
        return self._traded[number] + min(moment, begun.close_at) - begun.open_at

    def when(self, trading: timedelta) -> datetime | None:
        """Return the first moment by which it has been open so long; None beyond the calendar."""
        number = bisect_left(self._traded, trading) - 1
        if number < 0 or trading > self._traded[-1]:
            return None
        return self._opens[number] + (trading - self._traded[number])

    def midnight(self, day: date) -> datetime:
        """Return when a day begins at the exchange."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def changes(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield moments, some of them outside, at which `market` changes from `start` to `end`."""
        for number in range(max(self.ended(start), 0), self.begun(end) + 1):
            yield from (self._opens[number], self._closes[number])
        day = start.astimezone(self.zone).date() + _DAY
        while (midnight := self.midnight(day)) <= end:
            yield midnight
            day += _DAY

    def market(self, moment: datetime) -> Market:
        """Return what the exchange is doing."""
        if moment >= self.ends_at:
            return Market("unknown", f"No calendar after {self.day(self.ends_at - _DAY)}", None)
        today = moment.astimezone(self.zone).date()
        session = self._calendar.session(today)
        if session is None:
            is_weekend = today.weekday() >= _SATURDAY
            name = "Closed" if is_weekend else "Holiday"
            return Market(
                "closed" if is_weekend else "holiday", f"{name}{self._next(moment)}", None
            )
        short = ", half day" if session.is_half_day else ""
        if moment < session.open_at:
            return Market("pre", f"Opens {self.clock(session.open_at)}{short}", session)
        if moment < session.close_at:
            return Market("open", f"Open until {self.clock(session.close_at)}{short}", session)
        return Market("post", f"Closed at {self.clock(session.close_at)}{short}", session)

    def clock(self, moment: datetime) -> str:
        """Return the exchange's time of day, such as ``16:00 EST``."""
        return f"{moment.astimezone(self.zone):%H:%M %Z}"

    def day(self, moment: datetime | date) -> str:
        """Return a day at the exchange, such as ``Fri 20 Nov 2026``."""
        day = moment.astimezone(self.zone) if isinstance(moment, datetime) else moment
        return f"{day:%a} {day.day} {day:%b %Y}"

    def _next(self, moment: datetime) -> str:
        number = self.begun(moment) + 1
        if number == len(self.sessions):
            return ""
        opens = self._opens[number]
        return f", opens {self.day(opens)} {self.clock(opens)}"


@cache
def clock_of(calendar: Calendar) -> ExchangeClock:
    """Return a calendar's clock, made once."""
    return ExchangeClock(calendar)
