"""The adapter behind the real guard, against the local Yahoo, which counts and judges."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import BarMessage
from ingestion.fakes.running import Running
from ingestion.fakes.script import Limit, NullRow, Status
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import ProviderGuard
from ingestion.limits.guards import Guards
from ingestion.settings import LimitsSettings
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import Unguarded
from ingestion.sources.yahoo.client import Client
from ingestion.sources.yahoo.fetcher import YahooFetcher
from tests.ingestion.fakes.conftest import EVENING, Serve, control, serve
from tests.ingestion.sources.yahoo.conftest import StandingClock, forget

__all__ = ["serve"]  # a fixture

FIRST, LAST = date(2012, 11, 1), date(2013, 2, 28)
SYMBOLS = ("AAPL", "IBM", "BRK.B")

Guarded = Callable[[Running], tuple[YahooFetcher, ProviderGuard]]


@pytest.fixture
def guarded(nyse: Calendar, tmp_path: Path) -> Iterator[Guarded]:
    """The adapter of a running server, and its guard: four requests a second."""
    with ExitStack() as stack:

        def made(running: Running) -> tuple[YahooFetcher, ProviderGuard]:
            clock, url = SystemClock(), running.urls["YAHOO_BASE_URL"]
            file = stack.enter_context(closing(LimitsFile(tmp_path / "limits")))
            guards = Guards(file, LimitsSettings(yahoo="4/second"), clock, lambda: False)
            guard = guards.guard("yahoo", url)
            client = stack.enter_context(Client(guard, clock, tmp_path / "yahoo", url, 5.0))
            forget()
            return YahooFetcher(client, nyse, clock, "run"), guard

        yield made


def fetch(fetcher: YahooFetcher, symbol: str) -> list[Any]:
    return fetcher.fetch(Unit("bars", symbol, FIRST, LAST, "1d"))


def test_all_that_yfinance_asks_is_within_the_budget_and_the_server_agrees(
    serve: Serve, guarded: Guarded
) -> None:
    running = serve(limits={"yahoo": (Limit(4, 1.0),)})
    fetcher, guard = guarded(running)
    for symbol in SYMBOLS:
        assert len(fetch(fetcher, symbol)) >= 79

    counts = control(running, "counts")
    # A cookie and a crumb; each symbol's time zone and bars.
    assert counts["requests"] == {"yahoo.session": 2, "yahoo.chart": 6, "yahoo.any": 8}
    assert guard.facts()["requests"] == counts["requests"]["yahoo.any"]
    assert control(running, "violations") == []


@pytest.mark.parametrize("kind", ["session", "chart"])
def test_a_wave_of_refusals_is_waited_for_as_long_as_it_says(
    serve: Serve, guarded: Guarded, kind: Any
) -> None:
    wave = Status(
        provider="yahoo", kind=kind, at_request=2, requests=2, status=429, retry_after_s=1
    )
    running = serve(wave)
    fetcher, guard = guarded(running)
    assert len(fetch(fetcher, "IBM")) >= 79

    asked = control(running, "requests")
    waits = [
        after["elapsed_s"] - before["elapsed_s"]
        for before, after in pairwise(asked)
        if before["status"] == "429"
    ]
    assert len(waits) == guard.facts()["rate_limited"] == 2
    assert min(waits) >= 1.0


def test_bars_minutes_and_actions_are_digit_for_digit_what_was_handed_out(
    serve: Serve, nyse: Calendar, tmp_path: Path
) -> None:
    null = NullRow(provider="yahoo", symbol="MSFT", session=date(2003, 2, 20), keep_volume=False)
    running = serve(null)
    clock, url = StandingClock(EVENING), running.urls["YAHOO_BASE_URL"]
    with Client(Unguarded(), clock, tmp_path / "yahoo", url, 5.0) as client:
        forget()
        fetcher = YahooFetcher(client, nyse, clock, "run")
        made = [
            *fetcher.fetch(Unit("bars", "MSFT", date(2003, 2, 10), date(2003, 2, 28), "1d")),
            *fetcher.fetch(Unit("bars", "NVDA", date(2013, 2, 25), date(2013, 2, 28), "5m")),
        ]

    found = dict(identified(one) for one in made)
    noted = {
        (one["kind"], one["symbol"], int(one["time"])): [
            None if value is None else Decimal(repr(value)) for value in one["values"]
        ]
        for one in control(running, "observations", provider="yahoo")
    }
    # Whoever asks for a time zone is given the latest bar.
    asked_for = {at: values for at, values in noted.items() if at in found}
    assert found == asked_for
    assert len(noted) - len(found) == 2
    kinds = Counter(kind for kind, _, _ in found)
    assert kinds == {"bar.1d": 14, "bar.5m": 4 * 78, "split": 1, "dividend": 1}
    assert [None] * 6 in found.values()


def identified(made: Any) -> tuple[tuple[str, str, int], list[Decimal | None]]:
    """A message as the server notes what it hands out."""
    at = int(datetime.fromisoformat(made.event_time).timestamp())
    data = made.data
    if isinstance(made, BarMessage):
        texts = [data.open, data.high, data.low, data.close, data.volume]
        texts += [data.adj_close] if data.interval == "1d" else []
        values = [None if text is None else Decimal(text) for text in texts]
        return (f"bar.{data.interval}", made.symbol, at), values
    told = [data.amount] if data.type == "dividend" else [data.ratio, "1"]
    return (data.type, made.symbol, at), [Decimal(text) for text in told]
