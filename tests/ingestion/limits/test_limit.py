from datetime import UTC, datetime

import pytest

from ingestion.errors import SettingsError
from ingestion.limits.limit import (
    BUDGETS,
    SECOND,
    Limit,
    microseconds,
    midnight,
    moment_of,
    next_midnight,
    parse,
)

NEW_YORK = "America/New_York"


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def test_limits_are_read_as_they_are_written() -> None:
    found = parse("30/second, 60/minute,25/day@America/New_York", "LIMITS_X")

    assert found == (Limit(30, "second"), Limit(60, "minute"), Limit(25, "day", NEW_YORK))
    assert parse(",".join(map(str, found)), "LIMITS_X") == found


@pytest.mark.parametrize(
    "text",
    ["", "30", "0/second", "-1/day", "1.5/day", "30/hour", "30/second,", "1/day@Nowhere/At_All",
     "5/minute@UTC", "25/day@"],
)  # fmt: skip
def test_what_is_no_limit_is_refused_with_the_variable(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^LIMITS_X: expected"):
        parse(text, "LIMITS_X")


def test_the_free_plans_are_declared() -> None:
    assert set(BUDGETS["finnhub"].limits) == {Limit(30, "second"), Limit(60, "minute")}
    assert set(BUDGETS["alphavantage"].limits) == {Limit(1, "second"), Limit(25, "day")}
    assert set(BUDGETS) == {"alphavantage", "finnhub", "yahoo"}


@pytest.mark.parametrize(
    ("now", "last", "following", "hours"),
    [
        ("2026-03-08T04:59:59", "2026-03-07T05:00:00", "2026-03-08T05:00:00", 24),
        ("2026-03-08T05:00:00", "2026-03-08T05:00:00", "2026-03-09T04:00:00", 23),
        ("2026-11-01T12:00:00", "2026-11-01T04:00:00", "2026-11-02T05:00:00", 25),
    ],
)
def test_a_day_of_a_zone_may_have_23_or_25_hours(
    now: str, last: str, following: str, hours: int
) -> None:
    assert midnight(at(now), NEW_YORK) == at(last)
    assert next_midnight(at(now), NEW_YORK) == at(following)
    assert at(following) - at(last) == hours * 3_600 * SECOND


def test_a_moment_survives_the_way_there_and_back() -> None:
    moment = datetime(2026, 3, 2, 15, 0, 0, 123_457, tzinfo=UTC)

    assert moment_of(microseconds(moment)) == moment
