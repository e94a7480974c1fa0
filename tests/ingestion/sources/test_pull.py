"""Pulls through a fetcher that gives what a test has scripted."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import Message
from ingestion.errors import SourceError
from ingestion.sources.fetcher import Unit
from ingestion.sources.progress import Progress
from ingestion.sources.provider import (
    BudgetSpentError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    RateLimitedError,
    StoppedError,
)
from ingestion.sources.pull import Pull, Windowed
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused

YEAR = (date(2025, 1, 2), date(2025, 12, 31))
LATER = (date(2025, 1, 2), date(2026, 1, 5))
Days = tuple[date, date]
SYMBOLS = ["AAPL", "MSFT", "IBM"]


class Scripted:
    """Bars of every session that is asked for, with the splits and errors that it was told of."""

    name = "scripted"

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.asked: list[Unit] = []
        self.splits: dict[str, list[tuple[date, str]]] = {}
        self.errors: dict[str, Exception] = {}
        self.basis = 1
        self.latest = date.max

    def serves(self, unit: Unit) -> bool:
        return True

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        self.asked.append(unit)
        if unit.symbol in self.errors:
            raise self.errors[unit.symbol]
        sessions = self.calendar.sessions(unit.start, unit.end)
        days = [one.session_date for one in sessions if one.session_date <= self.latest]
        splits = [split for split in self.splits.get(unit.symbol, []) if split[0] in days]
        return [
            *(
                message(unit.symbol, day, "corporate_action.v1", split(day, ratio))
                for day, ratio in splits
            ),
            *(message(unit.symbol, day, "bar.v1", bar(day, self.basis)) for day in days),
        ]

    def facts(self) -> Mapping[str, object]:
        return {"asked": len(self.asked)}


def split(day: date, ratio: str) -> dict[str, Any]:
    return {"type": "split", "ex_date": day.isoformat(), "ratio": ratio, "amount": None,
            "currency": "USD", "as_of": f"{day}T20:00:00Z"}  # fmt: skip


def bar(day: date, price: int) -> dict[str, Any]:
    prices = dict.fromkeys(("open", "high", "low", "close", "adj_close"), str(price))
    return {"interval": "1d", "start": f"{day}T14:30:00Z", "session_date": day.isoformat(),
            **prices, "volume": "1", "currency": "USD", "adjustment": "split",
            "as_of": f"{day}T20:00:00Z"}  # fmt: skip


def message(symbol: str, day: date, schema: str, data: dict[str, Any]) -> Message:
    at = f"{day}T14:30:00Z"
    made: Message = msgspec.convert(
        {"schema": schema, "event_id": observation_id("scripted", schema, symbol, at, data),
         "source": "scripted", "simulated": False, "symbol": symbol, "event_time": at,
         "fetched_at": at, "run_id": "r", "data": data}, Message)  # fmt: skip
    return made


@pytest.fixture
def fetcher(nyse: Calendar) -> Scripted:
    return Scripted(nyse)


@pytest.fixture
def progress(tmp_path: Path) -> Iterator[Progress]:
    with Progress(tmp_path, "scripted-1d") as opened:
        yield opened


def pull(fetcher: Scripted, progress: Progress, days: Days, confirmed: Callable[[], int]) -> Pull:
    bars = Windowed(fetcher, fetcher.calendar, progress)
    fetchers = RankedFetcher("bars", [bars], SystemClock())
    return Pull(fetchers, bars, progress, SYMBOLS, "1d", days, confirmed)


def pulled(
    fetcher: Scripted,
    progress: Progress,
    asked: Days = YEAR,
    confirmed: Callable[[], int] = lambda: 10**9,
) -> list[Any]:
    """What one whole run gives; all of it is confirmed in the end."""
    source = pull(fetcher, progress, asked, confirmed)
    made = list(source.messages())
    progress.settle(len(made))
    return made


def starts(fetcher: Scripted) -> list[str]:
    return [str(unit.start) for unit in fetcher.asked]


def test_the_next_pull_asks_for_the_last_five_sessions_and_what_is_new(
    fetcher: Scripted, progress: Progress
) -> None:
    pulled(fetcher, progress)
    fetcher.asked.clear()

    made = pulled(fetcher, progress, LATER)

    assert starts(fetcher) == ["2025-12-24"] * 3
    days = [one.data.session_date for one in made if one.symbol == "IBM"]
    assert days == ["2025-12-24", "2025-12-26", "2025-12-29", "2025-12-30", "2025-12-31",
                    "2026-01-02", "2026-01-05"]  # fmt: skip


def test_the_same_range_again_gives_no_event_that_is_new(
    fetcher: Scripted, progress: Progress
) -> None:
    first = {one.event_id for one in pulled(fetcher, progress)}
    again = pulled(fetcher, progress)

    assert len(again) == 15
    assert {one.event_id for one in again} <= first


def test_days_that_come_late_are_asked_for_again(fetcher: Scripted, progress: Progress) -> None:
    """What a provider did not have yet is not taken for pulled, however long it took."""
    fetcher.latest = date(2025, 12, 10)
    pulled(fetcher, progress)
    fetcher.asked.clear()
    fetcher.latest = date.max

    made = pulled(fetcher, progress, LATER)

    assert starts(fetcher) == ["2025-12-04"] * 3
    days = {one.data.session_date for one in made if one.symbol == "IBM"}
    assert {"2025-12-11", "2025-12-12", "2026-01-05"} <= days


def test_an_answer_without_bars_covers_nothing(fetcher: Scripted, progress: Progress) -> None:
    fetcher.latest = date.min
    pulled(fetcher, progress)
    fetcher.asked.clear()
    pulled(fetcher, progress)
    assert starts(fetcher) == ["2025-01-02"] * 3


def test_a_range_that_reaches_further_back_is_pulled_whole(
    fetcher: Scripted, progress: Progress
) -> None:
    pulled(fetcher, progress)
    fetcher.asked.clear()
    pulled(fetcher, progress, (date(2024, 12, 30), date(2025, 12, 31)))
    assert starts(fetcher) == ["2024-12-30"] * 3


def test_a_gap_is_not_taken_for_pulled(fetcher: Scripted, progress: Progress) -> None:
    pulled(fetcher, progress, (date(2025, 1, 2), date(2025, 1, 31)))
    pulled(fetcher, progress, (date(2025, 6, 2), date(2025, 6, 30)))
    fetcher.asked.clear()
    pulled(fetcher, progress, (date(2025, 1, 2), date(2025, 6, 30)))
    assert starts(fetcher) == ["2025-01-02"] * 3


def test_the_next_session_is_no_gap(fetcher: Scripted, progress: Progress) -> None:
    pulled(fetcher, progress, (date(2025, 1, 2), date(2025, 1, 31)))
    fetcher.asked.clear()
    pulled(fetcher, progress, (date(2025, 2, 3), date(2025, 2, 28)))
    pulled(fetcher, progress, (date(2025, 1, 2), date(2025, 2, 28)))
    assert starts(fetcher)[3:] == ["2025-02-24"] * 3


def test_a_split_since_the_last_pull_brings_the_whole_history_again(
    fetcher: Scripted, progress: Progress
) -> None:
    first = pulled(fetcher, progress)
    fetcher.asked.clear()
    fetcher.splits["MSFT"] = [(date(2026, 1, 2), "4")]
    fetcher.basis = 4

    made = pulled(fetcher, progress, LATER)

    assert starts(fetcher) == ["2025-12-24", "2025-12-24", "2025-01-02", "2025-12-24"]
    ids = [one.event_id for one in made]
    assert len(ids) == len(set(ids)) == 252 + 1 + 2 * 7
    assert not set(ids) & {one.event_id for one in first}
    fetcher.asked.clear()
    pulled(fetcher, progress, LATER)
    assert starts(fetcher) == ["2025-12-29"] * 3, "the split is known now"


def test_an_interrupted_fetch_goes_on_behind_what_is_confirmed(
    fetcher: Scripted, progress: Progress
) -> None:
    source = pull(fetcher, progress, YEAR, lambda: 260)
    for number, _ in enumerate(source.messages(), start=1):
        if number == 600:  # killed in the third symbol, the second one not confirmed
            break
    fetcher.asked.clear()

    again = pull(fetcher, progress, YEAR, lambda: 0)
    made = list(again.messages())

    assert [unit.symbol for unit in fetcher.asked] == ["MSFT", "IBM"]
    assert starts(fetcher) == ["2025-01-02"] * 2
    assert (len(made), again.facts()["done_before"]) == (500, ["AAPL"])


@pytest.mark.parametrize("error", [NoDataError("gone"), ProviderDownError("500")])
def test_a_symbol_that_fails_is_named_and_the_others_are_fetched(
    fetcher: Scripted, progress: Progress, error: Exception
) -> None:
    fetcher.errors["MSFT"] = error
    source = pull(fetcher, progress, YEAR, lambda: 0)
    with pytest.raises(SourceError, match=f"1 of 3 units not served .*MSFT.*{error}"):
        list(source.messages())
    assert {unit.symbol for unit in fetcher.asked} == set(SYMBOLS)
    progress.settle(500)
    assert progress.covered("IBM") and not progress.covered("MSFT")


def test_an_answer_that_is_none_becomes_a_dead_letter(
    fetcher: Scripted, progress: Progress
) -> None:
    fetcher.errors["MSFT"] = MalformedError("garbage", b"<html>")
    made: list[Any] = []
    with pytest.raises(SourceError, match=r"MSFT.*garbage"):
        for one in pull(fetcher, progress, YEAR, lambda: 0).messages():
            made.append(one)
    (letter,) = [one for one in made if isinstance(one, Refused)]
    assert (letter.body, letter.reason, letter.detail) == (b"<html>", "malformed_answer", "garbage")


@pytest.mark.parametrize("error", [RateLimitedError("429"), BudgetSpentError("spent", 60)])
def test_a_fetch_that_was_held_is_gone_on_with(
    fetcher: Scripted, progress: Progress, error: Exception
) -> None:
    fetcher.errors["MSFT"] = error
    with pytest.raises(SourceError, match=str(error)):
        pulled(fetcher, progress)
    fetcher.errors.clear()
    fetcher.asked.clear()

    pulled(fetcher, progress)

    assert [unit.symbol for unit in fetcher.asked] == ["MSFT"]


def test_a_stop_ends_quietly_and_is_gone_on_with(fetcher: Scripted, progress: Progress) -> None:
    fetcher.errors["MSFT"] = StoppedError("stop")
    assert len(pulled(fetcher, progress)) == 250
    fetcher.errors.clear()
    fetcher.asked.clear()
    pulled(fetcher, progress)
    assert [unit.symbol for unit in fetcher.asked] == ["MSFT", "IBM"]
