"""Where a moment lies among an exchange's sessions: what polling and watching go by."""

from datetime import datetime, timedelta

from ingestion.calendar import Calendar, Session

# Longer than any closure that a calendar has planned.
_LOOK_AHEAD = timedelta(days=14)


def open_session(calendar: Calendar, now: datetime) -> Session | None:
    """Return the session whose regular hours include ``now``, or None."""
    session = calendar.session_of(now)
    is_open = session is not None and session.open_at <= now < session.close_at
    return session if is_open else None


def next_open(calendar: Calendar, now: datetime) -> datetime | None:
    """Return when the next session after ``now`` opens; None where the calendar ends before."""
    today = now.astimezone(calendar.zone).date()
    ahead = calendar.sessions(today, today + _LOOK_AHEAD)
    return next((session.open_at for session in ahead if session.open_at > now), None)
