"""Exchange sessions: what a timestamp's session is, and when a session opens and closes."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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

    def __init__(self, name: str, zone: str, sessions: Iterable[Session]) -> None:
        self.name = name
        self.zone = ZoneInfo(zone)
        self._sessions = {session.session_date: session for session in sessions}

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


@cache
def get(name: str = "XNYS") -> Calendar:
    """Return the calendar of an exchange.

    exchange_calendars computes it once; then it is read from a file in the user's cache, since
    importing that library (with pandas) costs every command two seconds.
    """
    path = _cache_file(name)
    if path.is_file():
        return _calendar(name, json.loads(path.read_text()))
    document = compute(name)
    _keep(path, json.dumps(document))
    return _calendar(name, document)


def compute(name: str) -> dict[str, Any]:
    """Return an exchange's time zone and sessions as exchange_calendars has them: JSON values."""
    import exchange_calendars

    source = exchange_calendars.get_calendar(name, start=FIRST_DAY, end=LAST_DAY)
    early = set(source.early_closes)
    rows = zip(source.schedule.index, source.schedule.itertuples(), strict=True)
    return {
        "zone": str(source.tz),
        "sessions": [
            [
                label.date().isoformat(),
                row.open.isoformat(),
                row.close.isoformat(),
                label in early,
            ]
            for label, row in rows
        ],
    }


def _calendar(name: str, document: dict[str, Any]) -> Calendar:
    sessions = (
        Session(
            date.fromisoformat(day),
            datetime.fromisoformat(open_at),
            datetime.fromisoformat(close_at),
            is_half_day,
        )
        for day, open_at, close_at, is_half_day in document["sessions"]
    )
    return Calendar(name, document["zone"], sessions)


def _cache_file(name: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(home) if home else Path.home() / ".cache") / "tapehouse" / "calendars"
    return folder / f"{name}-{version('exchange_calendars')}-{FIRST_DAY}-{LAST_DAY}.json"


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
