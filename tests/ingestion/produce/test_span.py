"""Which days a pull asks for."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import SettingsError
from ingestion.produce.span import Oldest, span


class Clock(SystemClock):
    """Ten in the evening of 8 January in New York, where it is the ninth in London."""

    def now(self) -> datetime:
        return datetime(2025, 1, 9, 3, 0, tzinfo=UTC)


def days(
    start: date | None = None, end: date | None = None, oldest: Oldest = lambda _: date.min
) -> tuple[date, date]:
    return span(start, end, calendar.get(), Clock(), oldest)()


def test_without_bounds_it_is_a_year_up_to_today_at_the_exchange() -> None:
    assert days() == (date(2024, 1, 9), date(2025, 1, 8))


def test_a_bound_that_is_given_is_kept() -> None:
    start, end = date(2020, 1, 2), date(2020, 6, 30)

    assert days(start, end) == (start, end)
    assert days(start) == (start, date(2025, 1, 8))
    assert days(end=end) == (end - timedelta(days=365), end)


def test_it_goes_back_no_further_than_the_provider_unless_asked_to() -> None:
    def month(today: date) -> date:
        return today - timedelta(days=29)

    assert days(oldest=month) == (date(2024, 12, 10), date(2025, 1, 8))
    assert days(date(2024, 1, 2), oldest=month) == (date(2024, 1, 2), date(2025, 1, 8))


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="2025-01-09 to 2025-01-08"):
        days(date(2025, 1, 9))
