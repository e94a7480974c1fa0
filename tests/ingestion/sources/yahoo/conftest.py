from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from yfinance import cache
from yfinance.data import YfData

from ingestion.calendar import Calendar
from ingestion.sources.provider import Guard, Unguarded
from ingestion.sources.yahoo.client import Client
from ingestion.sources.yahoo.fetcher import YahooFetcher
from tests.ingestion.sources.yahoo.local import LocalYahoo, serving


class StandingClock:
    """It stands at a moment until a test moves it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def sleep(self, seconds: float) -> None: ...


class Counting(Unguarded):
    """A guard that lets all pass, and counts it."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        self.calls += 1
        return super().call(request)


def forget() -> None:
    """Let yfinance begin anew: it has one cookie, crumb and store of each in a process."""
    YfData()._cookie = YfData()._crumb = None
    YfData()._set_cookie_strategy("basic")
    cache._TzCacheManager._tz_cache = cache._CookieCacheManager._Cookie_cache = None


@pytest.fixture
def yahoo() -> Iterator[LocalYahoo]:
    with serving() as server:
        yield server


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock(datetime(2026, 1, 5, 22, tzinfo=UTC))


@pytest.fixture
def guard() -> Counting:
    return Counting()


@pytest.fixture
def fetcher(
    yahoo: LocalYahoo, clock: StandingClock, guard: Guard, nyse: Calendar, tmp_path: Path
) -> Iterator[YahooFetcher]:
    """The adapter against the local server, with a cookie and crumb of its own."""
    client = Client(guard, clock, tmp_path / "yfinance", yahoo.url, timeout_s=2.0)
    forget()
    yield YahooFetcher(client, nyse, clock, "run-1")
    client.close()
