"""What a fault of ours refused of a provider's answers is read again once the fault is mended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ingestion.calendar import Calendar
from ingestion.contracts.records import BarMessage, CorporateActionMessage, Message, TradeMessage
from ingestion.errors import ContractError
from ingestion.produce import dead_letters
from ingestion.sources.alphavantage import reader, series
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub import frames, quotes
from ingestion.sources.finnhub.frames import Place
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.observed import Envelopes
from ingestion.sources.parsers import parser_of
from ingestion.sources.provider import MalformedError, ProviderError, Unguarded
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import messages as yahoo
from ingestion.sources.yahoo.answer import Answer
from tests.ingestion.sources.providers import FakeClock, Reply, Server

NOW = datetime(2025, 7, 9, 12, 0, tzinfo=UTC)
DAY = date(2025, 7, 8)
DAILY = Unit("bars", "BRK.B", DAY, DAY, "1d")
SIMULATED = {"X-Tapehouse-Simulated": "true"}
# A key as it may stand in an answer, so that it could come into a letter.
KEY = Key("a-secret-key-0123456789", parameter="apikey")


@contextmanager
def broken(target: Any, name: str, error: type[Exception] = ContractError) -> Iterator[None]:
    """A fault of ours in one function."""

    def fail(*_: Any, **__: Any) -> Any:
        raise error("a fault of ours")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, name, fail)
        yield


def again(refused: Refused, source: str) -> list[Any]:
    """Read what was refused from its letter, as a re-drive does."""
    letter = dead_letters.letter(refused, refused.source or source, "run", NOW)
    headers = {name: value.decode() for name, value in letter.headers}
    assert "secret" not in str(headers)
    parse = parser_of(headers)
    assert parse is not None
    return parse(letter.value, headers)


def same(found: list[Any], expected: list[Any]) -> bool:
    return [one for one in found if not isinstance(one, Refused)] == expected


def chart(events: dict[str, Any] | None = None, **meta: Any) -> bytes:
    at = int(datetime(2025, 7, 8, 13, 30, tzinfo=UTC).timestamp())
    quote = {name: [value] for name, value in zip(
        ("open", "high", "low", "close", "volume"), (480.1, 482.25, 478.0, 479.5, 3_000_000),
        strict=True,
    )}  # fmt: skip
    head = {"symbol": "BRK-B", "currency": "USD", "dataGranularity": "1d"} | meta
    result = {
        "meta": head, "timestamp": [at], "events": events or {},
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [479.5]}]},
    }  # fmt: skip
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def dividend() -> dict[str, Any]:
    at = int(datetime(2025, 7, 8, 13, 30, tzinfo=UTC).timestamp())
    return {"dividends": {str(at): {"amount": 0.5, "date": at}}}


def yahoo_made(nyse: Calendar, body: bytes) -> list[Any]:
    return [*yahoo.messages(Answer(body, NOW, True), yahoo.Context(DAILY, nyse, "run"))]


def test_a_whole_answer_of_yahoo(nyse: Calendar) -> None:
    body = chart(dividend())
    with broken(yahoo, "_check", MalformedError), pytest.raises(MalformedError) as caught:
        yahoo_made(nyse, body)
    refused = Refused(body, "", "malformed_answer", "", "yahoo", caught.value.context)

    found = again(refused, "yahoo")
    assert same(found, yahoo_made(nyse, body))
    assert [type(one) for one in found] == [CorporateActionMessage, BarMessage]
    assert all(one.simulated for one in found)


def test_a_row_and_an_action_of_yahoo(nyse: Calendar) -> None:
    body = chart(dividend())
    expected = yahoo_made(nyse, body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yahoo._Maker, "_session", lambda *_: None)
        refused = yahoo_made(nyse, body)

    assert [one.reason for one in refused] == ["no_session"] * 2
    assert [one for part in refused for one in again(part, "yahoo")] == expected


def test_a_row_that_a_later_one_has_replaced_stays_refused(nyse: Calendar) -> None:
    document = json.loads(chart())
    [result] = document["chart"]["result"]
    result["timestamp"] *= 2
    for values in (*result["indicators"]["quote"][0].values(),):
        values *= 2
    result["indicators"]["adjclose"][0]["adjclose"] *= 2
    superseded, _ = yahoo_made(nyse, json.dumps(document).encode())

    [still] = again(superseded, "yahoo")
    assert isinstance(still, Refused)
    assert still.reason == "superseded"


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff", b'{"chart":{"result":[]}}'])
def test_what_is_still_no_answer_says_so(body: bytes) -> None:
    context = yahoo.asked.context(DAILY, NOW, False)
    with pytest.raises(ProviderError):
        again(Refused(body, "", "malformed_answer", "", "yahoo", context), "yahoo")


def client(server: Server, name: str, body: bytes) -> Http:
    server.always(Reply(body, 200, SIMULATED))
    return Http(name, server.url, KEY, Unguarded(), FakeClock(NOW))


def test_a_quote_of_finnhub(server: Server) -> None:
    body = b'{"c":261.740,"h":263.31,"l":260.68,"o":261.07,"pc":261.39,"t":1752004800}'
    adapter = FinnhubQuotes(client(server, "finnhub", body), Envelopes("finnhub", "run"))
    ranked = RankedFetcher("quotes", [adapter], FakeClock(NOW))
    with broken(quotes, "event_time"), pytest.raises(MalformedError):
        ranked.fetch(Unit("quote", "IBM"))
    [refused] = ranked.take_refused()

    assert again(refused, "finnhub") == adapter.fetch(Unit("quote", "IBM"))


PLACE = Place("c0ffee", 3, "2025-07-08T14:30:00.000000Z", 40)
FRAME = (
    b'{"data":[{"c":null,"p":280.235,"s":"SPY","t":1751985000469,"v":100},'
    b'{"c":["1"],"p":280.24,"s":"SPY","t":1751985000470,"v":1}],"type":"trade"}'
)


def read_frame() -> list[Message | Refused]:
    found = frames.read(FRAME, PLACE, Envelopes("finnhub", "run", simulated=True))
    assert isinstance(found, frames.Trades)
    return found.made


def test_a_frame_and_single_trades_of_finnhub() -> None:
    context = PLACE.context(Envelopes("finnhub", "run", simulated=True))
    whole = Refused(FRAME, "", "malformed", "", "finnhub", context)
    assert again(whole, "finnhub") == read_frame()

    with broken(frames, "_event_time"):
        refused = read_frame()
    found = [one for part in refused for one in again(part, "finnhub")]  # type: ignore[arg-type]
    assert found == read_frame()
    assert all(isinstance(one, TradeMessage) and one.simulated for one in found)


def test_an_error_frame_stays_one() -> None:
    context = PLACE.context(Envelopes("finnhub", "run"))
    body = b'{"type":"error","msg":"Subscribing to too many symbols"}'
    [still] = again(Refused(body, "", "provider_error", "", "finnhub", context), "finnhub")
    assert isinstance(still, Refused)
    assert still.reason == "provider_error"


def rows_of(key: str, rows: dict[str, Any]) -> bytes:
    head = {"2. Symbol": "BRK-B", "5. Time Zone": "US/Eastern"}
    return json.dumps({"Meta Data": head, key: rows}).encode()


def day() -> dict[str, str]:
    names = ("open", "high", "low", "close", "adjusted close", "volume", "dividend amount",
             "split coefficient")  # fmt: skip
    values = ("10.00", "11.00", "9.00", "10.50", "5.25", "1000", "0.25", "2.0")
    named = zip(names, values, strict=True)
    return {f"{i}. {name}": value for i, (name, value) in enumerate(named, 1)}


def bar() -> dict[str, str]:
    named = zip(("open", "high", "low", "close", "volume"), ("1", "2", "1", "2", "9"), strict=True)
    return {f"{i}. {name}": value for i, (name, value) in enumerate(named, 1)}


ENDS = {f"2025-07-08 {time}": bar() for time in ("09:35:00", "12:00:00", "16:00:00")}
QUOTE = {"01. symbol": "BRK-B", "05. price": "480.10", "07. latest trading day": "2025-07-08"}
ANSWERS: list[tuple[Unit, bytes]] = [
    (DAILY, rows_of("Time Series (Daily)", {"2025-07-08": day()})),
    (Unit("bars", "BRK.B", DAY, DAY, "5m"), rows_of("Time Series (5min)", ENDS)),
    (Unit("quote", "BRK.B"), json.dumps({"Global Quote": QUOTE}).encode()),
]


def alpha_vantage(server: Server, nyse: Calendar, body: bytes) -> AlphaVantage:
    http, clock = client(server, "alphavantage", body), FakeClock(NOW)
    return AlphaVantage(http, Envelopes("alphavantage", "run"), nyse, clock, is_premium=True)


@pytest.mark.parametrize(("unit", "body"), ANSWERS)
def test_a_whole_answer_of_alpha_vantage(
    server: Server, nyse: Calendar, unit: Unit, body: bytes
) -> None:
    adapter = alpha_vantage(server, nyse, body)
    with broken(reader, "_check_symbol"), pytest.raises(MalformedError) as caught:
        adapter.fetch(unit)
    refused = Refused(body, "", "malformed_answer", "", "alphavantage", caught.value.context)

    found = again(refused, "alphavantage")
    assert found == adapter.fetch(unit)
    assert all(one.simulated for one in found)


@pytest.mark.parametrize(("unit", "body"), ANSWERS[:2])
def test_rows_of_alpha_vantage(server: Server, nyse: Calendar, unit: Unit, body: bytes) -> None:
    adapter = alpha_vantage(server, nyse, body)
    with broken(series, "_bar"):
        refused = adapter.fetch(unit)

    assert all(isinstance(one, Refused) for one in refused)
    found: list[Any] = []
    for one in refused:
        found += again(one, "alphavantage")  # type: ignore[arg-type]
    assert found == adapter.fetch(unit)
    if unit.interval == "5m":
        assert found[0].data.start == "2025-07-08T13:30:00.000000Z", "its label is its end"


@pytest.mark.parametrize("source", ["yahoo", "finnhub", "alphavantage"])
def test_a_letter_that_does_not_say_what_was_asked_cannot_be_read(source: str) -> None:
    with pytest.raises(ContractError, match=r"expected .* in the"):
        again(Refused(b"{}", "", "malformed_answer", ""), source)
