"""Exchange sessions: what a timestamp's session is, and when a session opens and closes."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import exchange_calendars
import pandas as pd

# exchange_calendars' defaults move with the clock (20 years back, one ahead): fixed bounds give the
# same sessions on every day that this runs. Recorded bars begin in 2000.
FIRST_DAY = "1998-01-01"
LAST_DAY = "2027-12-31"


@dataclass(frozen=True)
class Session:
    """One session of an exchange; times are UTC, ``[open_at, close_at)`` is regular trading."""

    session_date: date
    open_at: datetime
    close_at: datetime
    is_half_day: bool

    @property
    def n_minutes(self) -> int:
        """Minutes of regular trading."""
        return int((self.close_at - self.open_at) / timedelta(minutes=1))


class Calendar:
    """Sessions of one exchange, by local date."""

    def __init__(self, name: str) -> None:
        source = exchange_calendars.get_calendar(name, start=FIRST_DAY, end=LAST_DAY)
        self.name = name
        self.zone = ZoneInfo(str(source.tz))
        early = set(source.early_closes)
        self._sessions = {
            label.date(): Session(
                label.date(),
                row.open.to_pydatetime(),
                row.close.to_pydatetime(),
                label in early,
            )
            for label, row in zip(source.schedule.index, source.schedule.itertuples(), strict=True)
        }

    def sessions(self, start: date | None = None, end: date | None = None) -> list[Session]:
        """Return the sessions with ``start <= session_date <= end``, in order."""
        return [
            session
            for day, session in self._sessions.items()
            if (start is None or day >= start) and (end is None or day <= end)
        ]

    def session(self, day: date) -> Session | None:
        """Return the session of a local date, or None when the exchange is closed that day."""
        return self._sessions.get(day)

    def session_of(self, moment: datetime) -> Session | None:
        """Return the session whose local date is that of ``moment``, or None.

        Extended hours belong to their day's session; a weekend or a holiday has none.
        """
        return self._sessions.get(moment.astimezone(self.zone).date())

    def frame(self) -> pd.DataFrame:
        """Return all sessions: session_date, open_at, close_at (UTC), is_half_day, n_minutes."""
        rows = [
            (s.session_date, s.open_at, s.close_at, s.is_half_day, s.n_minutes)
            for s in self._sessions.values()
        ]
        columns = ["session_date", "open_at", "close_at", "is_half_day", "n_minutes"]
        return pd.DataFrame(rows, columns=columns)


@cache
def get(name: str = "XNYS") -> Calendar:
    """Return the calendar of an exchange, built once (about a second)."""
    return Calendar(name)
