"""The exchange's state and its clock at moments of which people are wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.prometheus.exporter.market import Market, SessionClock
from infra.prometheus.exporter.newest import OTHER, Freshness, Series, add, series
from ingestion import calendar


class At:
    """A clock that stands."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError


SESSIONS = SessionClock(calendar.get("XNYS"))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(moment: str) -> dict[str, float]:
    metrics = Market(At(utc(moment)), SESSIONS).read()
    return {sample.name: sample.value for metric in metrics for sample in metric.samples}


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-25 14:29:59", False),  # Wednesday, New York in winter
        ("2026-11-25 14:30:00", True),
        ("2026-11-25 20:59:59", True),
        ("2026-11-25 21:00:00", False),
        ("2026-11-26 16:00:00", False),  # Thanksgiving
        ("2026-11-27 17:59:59", True),  # the day after closes at 13:00
        ("2026-11-27 18:00:00", False),
        ("2026-11-28 16:00:00", False),  # Saturday
        ("2026-03-06 14:30:00", True),  # Friday before summer time
        ("2026-03-09 13:29:59", False),
        ("2026-03-09 13:30:00", True),  # Monday after: an hour earlier in UTC
        ("2026-03-09 20:00:00", False),
        ("2026-10-30 13:30:00", True),  # Friday before winter time, when Europe has it already
        ("2026-11-02 13:30:00", False),
        ("2026-11-02 14:30:00", True),
    ],
)
def test_the_market_is_open_when_the_exchange_is(moment: str, is_open: bool) -> None:
    assert told(moment)["tapehouse_market_open"] == is_open


def test_the_session_told_is_the_open_one_or_the_next() -> None:
    holiday = told("2026-11-26 16:00:00")
    assert holiday["tapehouse_market_session_half_day"] == 1
    name = "tapehouse_market_session_{}_timestamp_seconds"
    assert holiday[name.format("open")] == utc("2026-11-27 14:30:00").timestamp()
    assert holiday[name.format("close")] == utc("2026-11-27 18:00:00").timestamp()
    assert told("2026-11-27 19:00:00")["tapehouse_market_session_half_day"] == 0


def test_behind_its_end_the_calendar_says_so_and_nothing_else() -> None:
    late = told("2028-06-01 15:00:00")
    assert set(late) == {"tapehouse_market_open", "tapehouse_market_calendar_end_timestamp_seconds"}
    assert late["tapehouse_market_open"] == 0


@pytest.mark.parametrize(
    ("earlier", "later", "seconds"),
    [
        ("2026-11-25 20:59:00", "2026-11-25 21:00:00", 60),
        ("2026-11-25 20:59:00", "2026-11-27 14:31:00", 120),  # over the night and a holiday
        ("2026-11-27 14:30:00", "2026-11-30 14:30:00", 12_600),  # a half day and a weekend
        ("2026-11-27 18:00:00", "2026-11-30 14:29:59", 0),
        ("2026-03-06 14:30:00", "2026-03-09 13:30:00", 23_400),  # into summer time
        ("2026-10-30 13:30:00", "2026-11-02 14:30:00", 23_400),  # and back
        ("2026-11-25 15:00:00", "2026-11-25 14:59:00", 0),  # an event of a clock that is ahead
    ],
)
def test_only_trading_makes_older(earlier: str, later: str, seconds: float) -> None:
    assert SESSIONS.between(utc(earlier), utc(later)) == seconds


def test_a_silent_symbol_ages_by_both_clocks() -> None:
    moment = utc("2026-11-25 20:59:00")
    newest: dict[Series, datetime] = {}
    key = series("quotes", "finnhub", False, "AAPL")
    add(newest, key, moment)
    add(newest, key, moment - timedelta(hours=1))
    freshness = Freshness(At(utc("2026-11-27 14:31:00")), SESSIONS)
    [(at, age)] = zip(*(m.samples for m in freshness.metrics("gold", newest)), strict=True)
    assert at.value == moment.timestamp()
    assert age.value == 120
    assert at.labels == key._asdict() | {"stage": "gold"}
    assert key == ("quotes", "finnhub", "false", "AAPL")


def test_names_that_messages_bring_cannot_make_series_without_end() -> None:
    made = {series("quotes", f"evil-{n}", True, f"Z{n}") for n in range(1_000)}
    assert made == {Series("quotes", OTHER, "true", OTHER)}
