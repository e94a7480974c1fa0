"""How far back Yahoo's bars are asked for, against its own refusals, which count in seconds."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from ingestion.sources.yahoo.ranges import oldest

NEW_YORK: Final = ZoneInfo("America/New_York")
KEPT: Final = {"1m": 30, "2m": 60, "5m": 60, "15m": 60, "1h": 730}


@pytest.mark.parametrize(("interval", "days"), KEPT.items())
def test_the_oldest_day_is_whole_at_yahoo_at_every_hour_of_a_year(interval: str, days: int) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for hours in range(366 * 24):
        now = begin + timedelta(hours=hours, minutes=59)
        first = oldest(interval, now.astimezone(NEW_YORK).date())
        midnight = datetime.combine(first, time(), NEW_YORK)
        age = now - midnight.astimezone(UTC)
        assert timedelta(days=days - 2, hours=-1) <= age < timedelta(days=days), now
