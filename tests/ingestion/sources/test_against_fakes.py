"""The adapters against the local providers: what those noted as handed out is what was made."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from ingestion.calendar import Calendar
from ingestion.clock import Clock, SystemClock
from ingestion.contracts.records import BarMessage, Message, QuoteMessage, TradeMessage
from ingestion.fakes.running import Running
from ingestion.fakes.script import (
    Drop,
    ErrorFrame,
    Mute,
    Refusal,
    Replace,
    StaleQuote,
    Status,
    Truncate,
)
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.finnhub.socket import connector
from ingestion.sources.finnhub.stream import FinnhubTrades, Patience
from ingestion.sources.observed import Envelopes
from ingestion.sources.polling import PolledQuotes
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    Unguarded,
)
from ingestion.sources.source import Refused
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, control, serve
from tests.ingestion.sources.providers import FakeClock

__all__ = ["serve"]  # a fixture

NO_LIMITS: dict[str, Any] = {"limits": {"alphavantage": (), "finnhub": ()}}
PREMIUM: dict[str, Any] = {"plans": {"alphavantage": "premium"}}


class Adapters:
    """Makes adapters of running servers."""

    def __init__(self, stack: ExitStack, calendar: Calendar) -> None:
        self._stack = stack
        self._calendar = calendar

    def quotes(self, running: Running) -> FinnhubQuotes:
        key = Key("key", header="X-Finnhub-Token")
        url = running.urls["FINNHUB_BASE_URL"]
        http = Http("finnhub", url, key, Unguarded(), SystemClock())
        self._stack.enter_context(closing(http))
        return FinnhubQuotes(http, Envelopes("finnhub", "run", simulated=True))

    def alpha_vantage(self, running: Running, premium: bool) -> AlphaVantage:
        key, clock = Key("key", parameter="apikey"), FakeClock(EVENING)
        url = running.urls["ALPHAVANTAGE_BASE_URL"]
        http = Http("alphavantage", url, key, Unguarded(), clock)
        self._stack.enter_context(closing(http))
        envelopes = Envelopes("alphavantage", "run")
        return AlphaVantage(http, envelopes, self._calendar, clock, premium)


@pytest.fixture
def adapters(nyse: Calendar) -> Iterator[Adapters]:
    with ExitStack() as stack:
        yield Adapters(stack, nyse)


def test_quotes_are_those_that_were_handed_out(serve: Serve, adapters: Adapters) -> None:
    running = serve(served_at=MORNING)
    adapter = adapters.quotes(running)
    made = [adapter.fetch(Unit("quote", symbol))[0] for symbol in ("AAPL", "FB", "AAPL", "NOSUCH")]

    noted = control(running, "observations", provider="finnhub", kind="quote")
    assert [(one["symbol"], one["times"]) for one in noted] == [("AAPL", 2), ("FB", 1)]
    for one, message in zip(noted, made, strict=False):
        assert isinstance(message, QuoteMessage)
        assert list(message.data.values()) == one["values"]
        assert message.simulated
    assert made[0].event_id == made[2].event_id  # type: ignore[union-attr]
    assert made[3].event_time.startswith("1970-")  # type: ignore[union-attr]


def test_a_stale_quote_passes_with_its_own_time(serve: Serve, adapters: Adapters) -> None:
    [made] = adapters.quotes(serve(StaleQuote(provider="finnhub"), served_at=MORNING)).fetch(
        Unit("quote", "FB")
    )
    assert isinstance(made, QuoteMessage)
    assert made.event_time == "2013-02-27T21:00:00.000000Z"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(provider="finnhub", status=401), DeniedError),
        (Status(provider="finnhub", status=429, retry_after_s=7), RateLimitedError),
        (Status(provider="finnhub", status=503), ProviderDownError),
        (Drop(provider="finnhub"), ProviderDownError),
        (Truncate(provider="finnhub"), ProviderDownError),
        (Replace(provider="finnhub", find='"c":[0-9.]+', text='"c":NaN'), MalformedError),
    ],
)
def test_a_fault_is_typed(
    serve: Serve, adapters: Adapters, fault: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        adapters.quotes(serve(fault)).fetch(Unit("quote", "FB"))


def test_symbols_are_polled_within_the_free_plan(
    serve: Serve, adapters: Adapters, nyse: Calendar
) -> None:
    """Each symbol once in its interval; the server counts no violation."""
    running = serve(served_at=MORNING, speed=1.0)
    clock, symbols = SystemClock(), ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    until = clock.monotonic() + 6
    source = PolledQuotes(
        adapters.quotes(running), symbols, nyse, InSession(clock), lambda: clock.monotonic() > until
    )
    made = [item for item in source.messages() if item is not None]

    assert Counter(m.symbol for m in made if isinstance(m, QuoteMessage)).total() == len(made) >= 5
    assert control(running, "violations") == []


class InSession:
    """Real seconds, on the morning that is served."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shift = MORNING - clock.now()

    def now(self) -> datetime:
        return self._clock.now() + self._shift

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


def streamed(
    running: Running,
    calendar: Calendar,
    seconds: float,
    symbols: tuple[str, ...] = ("AAPL", "MSFT"),
    mute_after_s: float = 60.0,
) -> tuple[list[Message | Refused], FinnhubTrades]:
    clock = SystemClock()
    until = clock.monotonic() + seconds
    source = FinnhubTrades(
        connector(running.urls["FINNHUB_STREAM_URL"], "key", clock),
        Unguarded(),
        symbols,
        calendar,
        InSession(clock),
        Envelopes("finnhub", "run", simulated=True),
        lambda: clock.monotonic() > until,
        Patience(mute_after_s, base_s=0.05, cap_s=0.2),
    )
    return [item for item in source.messages() if item is not None], source


def test_all_trades_that_were_handed_out_are_made_once(serve: Serve, nyse: Calendar) -> None:
    """Whatever is lost with a connection was never handed out: it is dropped between frames."""
    fault = Drop(provider="finnhub", kind="stream", at_s=1.5, for_s=0.5)
    running = serve(fault, served_at=MORNING, speed=600.0)
    made, source = streamed(running, nyse, 4.0)

    noted = control(running, "observations", provider="finnhub", kind="trade")
    handed_out = Counter((o["symbol"], *map(str, o["values"])) for o in noted)
    trades = [m for m in made if isinstance(m, TradeMessage)]
    received = Counter((m.symbol, str(float(m.data.price)), m.data.size) for m in trades)
    expected = Counter({(s, str(float(p)), v): n for (s, p, v), n in handed_out.items()})
    assert len(trades) == len(made) > 100
    # What was still under way at the end is not read.
    assert not received - expected
    assert (expected - received).total() <= 200
    assert len({m.event_id for m in trades}) == len(trades)
    facts = source.facts()
    assert facts["connections"] == 2 + int(str(facts["lost_connections"])) - 1
    assert int(str(facts["gaps"])) >= 1


def test_a_mute_stream_is_noticed_and_opened_anew(serve: Serve, nyse: Calendar) -> None:
    fault = Mute(provider="finnhub", kind="stream", pings=True, for_s=1.5)
    running = serve(fault, served_at=MORNING, speed=600.0, ping_s=0.2)
    made, source = streamed(running, nyse, 5.0, mute_after_s=1.0)

    assert int(str(source.facts()["mute_connections"])) >= 1
    assert int(str(source.facts()["pings"])) >= 1
    assert any(isinstance(m, TradeMessage) for m in made)


def test_the_symbols_beyond_the_plan_are_named(serve: Serve, nyse: Calendar) -> None:
    running = serve(
        ErrorFrame(provider="finnhub", kind="stream", text="oh"),
        served_at=MORNING, speed=600.0, max_symbols=2,
    )  # fmt: skip
    made, source = streamed(running, nyse, 2.0, ("AAPL", "MSFT", "IBM", "FB"))

    assert source.facts()["not_subscribed"] == ["IBM", "FB"]
    assert {m.symbol for m in made if isinstance(m, TradeMessage)} == {"AAPL", "MSFT"}
    assert [m.reason for m in made if isinstance(m, Refused)] == ["provider_error"] * 3


def test_a_wrong_key_ends_the_stream(serve: Serve, nyse: Calendar) -> None:
    with pytest.raises(DeniedError):
        streamed(serve(keys={"finnhub": ("another",)}), nyse, 5.0)


@pytest.mark.parametrize("premium", [False, True])
def test_daily_bars_are_those_that_were_handed_out(
    serve: Serve, adapters: Adapters, premium: bool
) -> None:
    running = serve(**NO_LIMITS, **(PREMIUM if premium else {}))
    unit = Unit("bars", "IBM", date(2012, 11, 1), date(2013, 2, 28), "1d")
    made = adapters.alpha_vantage(running, premium).fetch(unit)

    bars = [m for m in made if isinstance(m, BarMessage)]
    noted = control(running, "observations", provider="alphavantage")
    by_day = {one["time"]: one["values"] for one in noted if one["time"] >= "2012-11-01"}
    assert {bar.data.session_date for bar in bars} == set(by_day)
    for bar in bars:
        data, values = bar.data, by_day[bar.data.session_date]
        assert [data.open, data.high, data.low, data.close] == values[:4]
        assert data.volume == values[5 if premium else 4]
    assert (len(made) > len(bars)) == premium, "two dividends were paid in that time"


def test_intraday_bars_are_those_that_were_handed_out(serve: Serve, adapters: Adapters) -> None:
    running = serve(**NO_LIMITS, **PREMIUM)
    unit = Unit("bars", "AAPL", date(2013, 2, 11), date(2013, 2, 28), "5m")
    made = adapters.alpha_vantage(running, True).fetch(unit)

    bars = [m for m in made if isinstance(m, BarMessage)]
    noted = control(running, "observations", provider="alphavantage")
    in_range = [one for one in noted if one["time"] >= "2013-02-11"]
    assert len(bars) == len(made) == len(in_range)
    # In February New York is five hours behind.
    starts = [datetime.fromisoformat(m.data.start) - timedelta(hours=5) for m in bars]
    assert {f"{start:%Y-%m-%d %H:%M:%S}" for start in starts} == {o["time"] for o in in_range}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("day", RateLimitedError), ("burst", RateLimitedError), ("premium", DeniedError),
        ("note", RateLimitedError), ("error", NoDataError), ("empty", ProviderError),
    ],
)  # fmt: skip
def test_a_refusal_with_200_is_never_data(
    serve: Serve, adapters: Adapters, text: Any, error: type[Exception]
) -> None:
    running = serve(Refusal(provider="alphavantage", text=text), **NO_LIMITS)
    for unit in (Unit("quote", "IBM"), Unit("bars", "IBM", date(2013, 2, 1), None, "1d")):
        with pytest.raises(error):
            adapters.alpha_vantage(running, False).fetch(unit)
