"""The servers' own time: which moment it is in the market that they serve.

``at`` a moment of the recorded years: the data as it stood then, and time goes on from there.
Without: the market's time is the machine's, and the recorded bars stand on recent sessions, so that
a client which asks for "the last year" gets one. Either may run faster than real time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from ingestion.calendar import Calendar, Session
from ingestion.clock import Clock
from ingestion.errors import SettingsError
from ingestion.fakes.universe import FUTURE_SESSIONS
from ingestion.sources.daily_bar import DailyBar


class ServedClock:
    """Market time: a start and a speed over the clock's seconds."""

    def __init__(self, clock: Clock, at: datetime | None = None, speed: float = 1.0) -> None:
        self._clock = clock
        self.set(at or clock.now(), speed)

    @property
    def speed(self) -> float:
        """Market seconds per real second; 0 stands still."""
        return self._speed

    def now(self) -> datetime:
        """Return the moment in the market, UTC."""
        return self._from + timedelta(seconds=self._elapsed() * self._speed)

    def real_now(self) -> datetime:
        """Return the machine's moment, UTC."""
        return self._clock.now()

    def set(self, at: datetime, speed: float | None = None) -> None:
        """Go to a moment and go on from there."""
        if speed is not None:
            self._speed = speed
        self._from = at.astimezone(UTC)
        self._since = self._clock.monotonic()

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._since


@dataclass(frozen=True)
class Dating:
    """How far recorded sessions are moved, in sessions of the calendar; 0 leaves their dates."""

    sessions: list[Session]
    position: dict[date, int]
    shift: int

    @classmethod
    def of(cls, calendar: Calendar, last_recorded: date, today: date | None) -> "Dating":
        """Move the recorded sessions so that those kept back follow the half-year of ``today``.

        Were it ``today`` itself, servers started a day later would tell another past.

        Raises:
            SettingsError: the calendar ends too soon.
        """
        sessions = calendar.sessions()
        position = {session.session_date: index for index, session in enumerate(sessions)}
        if today is None:
            return cls(sessions, position, 0)
        june = date(today.year, 6, 30)
        half_year = june if today <= june else date(today.year, 12, 31)
        last = min(_count(sessions, half_year) + FUTURE_SESSIONS, len(sessions)) - 1
        if last - _count(sessions, today) + 1 < FUTURE_SESSIONS:
            raise SettingsError(f"the calendar {calendar.name} ends before {today} and a month")
        return cls(sessions, position, last - position[last_recorded])

    def dated(self, bar: DailyBar) -> DailyBar:
        """Return the bar on the session that it is served as."""
        session = self.sessions[self.position[bar.session.session_date] + self.shift]
        return replace(bar, session=session)


def _count(sessions: Sequence[Session], until: date) -> int:
    return sum(session.session_date <= until for session in sessions)


def moment(text: str, calendar: Calendar) -> datetime:
    """Read ``--served-at``: a moment with a zone, or a date, which means that session's close.

    Raises:
        SettingsError: it is neither, or the date is no session.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"--served-at: expected a date or a moment, found {text!r}") from error
    if len(text) > len("2013-02-28"):
        if found.tzinfo is None:
            raise SettingsError(f"--served-at: expected a zone, as in {text}Z")
        return found.astimezone(UTC)
    session = calendar.session(found.date())
    if session is None:
        raise SettingsError(f"--served-at: {text} is no session of {calendar.name}")
    return session.close_at
