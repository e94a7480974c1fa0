from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from ingestion.clock import SystemClock, rfc3339


def test_a_timestamp_is_utc_with_microseconds() -> None:
    moment = datetime(2013, 3, 1, 9, 30, tzinfo=ZoneInfo("America/New_York"))

    assert rfc3339(moment) == "2013-03-01T14:30:00.000000Z"


def test_a_naive_timestamp_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        rfc3339(datetime(2013, 3, 1))  # noqa: DTZ001


def test_the_system_clock_is_aware_and_does_not_go_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0)

    assert clock.now().tzinfo is UTC
    assert clock.monotonic() >= before
