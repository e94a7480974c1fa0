"""Yahoo's bars through the real yfinance, pulled again: restatements, splits, an interruption."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import BarMessage
from ingestion.errors import SourceError
from ingestion.sources.progress import Progress
from ingestion.sources.pull import Pull, Windowed
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused
from ingestion.sources.yahoo.fetcher import YahooFetcher
from tests.ingestion.sources.yahoo.local import LocalYahoo, Reply, asked_days, document, row

START, END = date(2025, 1, 2), date(2025, 12, 31)
SYMBOLS = ["AAPL", "MSFT", "IBM"]


class Market:
    """Bars of all sessions; a split divides every price before it."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.splits: dict[str, date] = {}
        self.garbage: set[str] = set()

    def __call__(self, symbol: str, query: dict[str, str]) -> Reply:
        if symbol in self.garbage:
            return Reply(b"<html>oops</html>")
        ratio = 4 if symbol in self.splits else 1
        sessions = self.calendar.sessions(*asked_days(query))
        rows = [row(session, 100 / ratio) for session in sessions]
        stamps = {session.session_date: one[0] for session, one in zip(sessions, rows, strict=True)}
        stamp = stamps.get(self.splits.get(symbol, END))
        events = {"splits": {"1": {"date": stamp, "numerator": 4.0, "denominator": 1.0}}}
        return Reply(document(symbol, rows, events if symbol in self.splits and stamp else {}))


@pytest.fixture
def market(yahoo: LocalYahoo, nyse: Calendar) -> Market:
    yahoo.script = Market(nyse)
    return yahoo.script


@pytest.fixture
def pull(fetcher: YahooFetcher, nyse: Calendar, tmp_path: Path) -> Callable[..., list[Any]]:
    def whole(end: date = END, killed_after: int = 10**9, confirmed: int = 10**9) -> list[Any]:
        """A run that is killed after so many records, of which so many were confirmed."""
        made: list[Any] = []
        with Progress(tmp_path, "yahoo-1d") as progress:
            bars = Windowed(fetcher, nyse, progress)
            fetchers = RankedFetcher("bars", [bars], SystemClock())
            days = START, end
            source = Pull(fetchers, bars, progress, SYMBOLS, "1d", days, lambda: confirmed)
            for one in source.messages():
                made.append(one)
                if len(made) == killed_after:
                    return made
            progress.settle(confirmed)
        return made

    return whole


def test_what_is_fetched_again_is_no_new_event(
    market: Market, pull: Callable[..., list[Any]]
) -> None:
    first = {one.event_id for one in pull()}
    again = {one.event_id for one in pull()}
    assert (len(first), len(again)) == (750, 15)
    assert again <= first


def test_a_new_split_restates_the_whole_history(
    market: Market, pull: Callable[..., list[Any]], yahoo: LocalYahoo
) -> None:
    first = {one.event_id for one in pull()}
    market.splits["MSFT"] = date(2026, 1, 2)
    yahoo.ranges.clear()

    made = pull(date(2026, 1, 5))

    restated = [one for one in made if one.symbol == "MSFT" and isinstance(one, BarMessage)]
    assert {one.data.session_date for one in restated} >= {"2025-01-02", "2026-01-05"}
    assert len(restated) == 252
    assert {one.data.close for one in restated} == {"25"}
    assert not first & {one.event_id for one in restated}
    assert [symbol for symbol, _ in yahoo.ranges] == ["AAPL", "MSFT", "MSFT", "IBM"]


def test_a_killed_fetch_goes_on_and_all_events_are_there_once_more_or_less(
    market: Market, pull: Callable[..., list[Any]], yahoo: LocalYahoo
) -> None:
    before = pull(killed_after=600, confirmed=300)[:300]
    yahoo.ranges.clear()

    after = pull()

    assert [symbol for symbol, _ in yahoo.ranges] == ["MSFT", "IBM"]
    assert len({one.event_id for one in before} | {one.event_id for one in after}) == 750


def test_garbage_is_a_dead_letter_and_the_run_fails_in_the_end(
    market: Market, fetcher: YahooFetcher, nyse: Calendar, tmp_path: Path
) -> None:
    market.garbage.add("MSFT")
    made: list[Any] = []
    with Progress(tmp_path, "yahoo-1d") as progress:
        bars = Windowed(fetcher, nyse, progress)
        fetchers = RankedFetcher("bars", [bars], SystemClock())
        source = Pull(fetchers, bars, progress, SYMBOLS, "1d", (START, END), lambda: 0)
        with pytest.raises(SourceError, match=r"1 of 3 units not served .*MSFT"):
            for one in source.messages():
                made.append(one)
    (letter,) = (one for one in made if isinstance(one, Refused))
    assert (letter.body, letter.topic) == (b"<html>oops</html>", "stock-market-batch")
    assert len(made) == 501
