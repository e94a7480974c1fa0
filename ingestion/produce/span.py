"""Which sessions a pull of bars asks for, by default as far back as a year or the provider goes."""

from collections.abc import Callable
from datetime import date, timedelta

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.errors import SettingsError

_YEAR = timedelta(days=365)
# By how much a bound moves with the day.
Oldest = Callable[[date], date]


def span(
    start: date | None, end: date | None, calendar: Calendar, clock: Clock, oldest: Oldest
) -> Callable[[], tuple[date, date]]:
    """Return what gives the first and last day, both inclusive, at the moment of a round.

    Without ``end`` it is today, at the exchange; without ``start`` a year before the end, or
    ``oldest`` of today where that is later.

    Raises:
        SettingsError: the range is empty.
    """

    def days() -> tuple[date, date]:
        today = clock.now().astimezone(calendar.zone).date()
        last = end or today
        first = start or max(last - _YEAR, oldest(today))
        if first > last:
            raise SettingsError(f"--start, --end: expected a range, found {first} to {last}")
        return first, last

    days()
    return days
