"""What a faulty stream has to know: quotes of earlier sessions, days on which the clock changed."""

from datetime import date, datetime, timedelta
from itertools import pairwise

from ingestion.calendar import Calendar
from ingestion.contracts.records import Message, QuoteMessage


class Quotes:
    """The last quotes of a symbol's present session and of the one before."""

    def __init__(self) -> None:
        self._by_day: dict[date, QuoteMessage] = {}

    def add(self, quote: QuoteMessage, day: date) -> None:
        """Keep a quote as its session's last."""
        self._by_day[day] = quote
        if len(self._by_day) > 2:
            del self._by_day[min(self._by_day)]

    def before(self, day: date) -> QuoteMessage | None:
        """Return the last quote of an earlier session."""
        return next((q for known, q in reversed(self._by_day.items()) if known < day), None)


class Days:
    """The exchange's date of a moment, and on which sessions its clock differs from the last."""

    def __init__(self, calendar: Calendar) -> None:
        self._zone = calendar.zone
        self._changes: dict[date, timedelta] = {}
        sessions = calendar.sessions()
        for before, session in pairwise(sessions):
            old, new = (s.open_at.astimezone(self._zone).utcoffset() for s in (before, session))
            if old is not None and new is not None and old != new:
                self._changes[session.session_date] = new - old

    def of(self, message: Message) -> date:
        """Return the exchange's date of an event."""
        return datetime.fromisoformat(message.event_time).astimezone(self._zone).date()

    def change(self, day: date) -> timedelta | None:
        """Return how far off a provider is that has not changed its clock, None where it is not."""
        return self._changes.get(day)
