"""Every hostile payload of the drill, sent by a provider: none stops anything, none is lost.

A payload is sent as it is, and once more what it has as ``data``: that looks like a provider's own.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from functools import partial
from typing import Any

import msgspec
import pytest

from drill import hostile
from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts import envelope
from ingestion.contracts.records import Message, QuoteMessage, TradeMessage
from ingestion.produce.outgoing import Outgoing, outgoing
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.observed import Envelopes
from ingestion.sources.polling import PolledQuotes
from ingestion.sources.provider import MalformedError, ProviderDownError, ProviderError, Unguarded
from ingestion.sources.source import Refused
from tests.ingestion.sources.finnhub.test_stream import World, frame
from tests.ingestion.sources.providers import IN_HEADER, KEY, FakeClock, Reply, Server

_DATA = b'"data": '
GOOD = b'{"p":1,"s":"SPY","t":1587739079469,"v":1}'


def payloads() -> Iterator[tuple[str, bytes]]:
    for record in hostile.records():
        value = record.value or b""
        yield record.name, value
        if _DATA in value:
            yield f"{record.name}, data alone", value.split(_DATA, 1)[1][:-1]


PAYLOADS = list(payloads())


def reached(clock: FakeClock, until_s: float) -> bool:
    return clock.elapsed_s >= until_s


def delivered(made: list[Message | Refused]) -> list[Outgoing]:
    """What would be handed to Kafka: making it must not fail either."""
    return list(outgoing(made, "provider", "run", SystemClock()))


def test_as_the_answer_to_a_quote(server: Server, nyse: Calendar) -> None:
    clock = FakeClock()
    http = Http("finnhub", server.url, IN_HEADER, Unguarded(), clock)
    quotes = FinnhubQuotes(http, Envelopes("finnhub", "run"))
    passed = 0
    for name, body in PAYLOADS:
        server.always(body)
        until = clock.elapsed_s + 1
        polled = PolledQuotes(quotes, ["IBM"], nyse, clock, partial(reached, clock, until))
        found = [item for item in polled.messages() if item is not None]
        if not body:  # counted as a failed poll: there is nothing that could be kept
            assert (found, polled.facts()["refused_answers"]) == ([], 1)
            continue
        [made] = found
        [record] = delivered([made])
        if isinstance(made, QuoteMessage):
            passed += 1
            assert_verbatim(name, body, record.value)
        else:
            assert made.body == body, name
    assert 10 < passed < len(PAYLOADS) / 2


def assert_verbatim(name: str, body: bytes, value: bytes) -> None:
    sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    kept = msgspec.json.decode(value, type=dict[str, msgspec.Raw])["data"]
    for key, text in msgspec.json.decode(kept, type=dict[str, msgspec.Raw]).items():
        assert json.loads(bytes(text), parse_float=str, parse_int=str) == json.loads(
            bytes(sent[key]), parse_float=str, parse_int=str
        ), name
    envelope.decode(value)


def test_as_a_frame_of_the_stream(nyse: Calendar) -> None:
    steps: list[Any] = [body for _, body in PAYLOADS]
    made = World(nyse, [*steps, frame()]).made()

    assert [m.body for m in made[:-1] if isinstance(m, Refused)] == steps
    assert isinstance(made[-1], TradeMessage)
    assert len(delivered(made)) == len(PAYLOADS) + 1


def test_as_a_trade_among_others(nyse: Calendar) -> None:
    whole = 0
    for name, body in PAYLOADS:
        sent = b'{"type":"trade","data":[%s,%s,%s]}' % (GOOD, body, GOOD)
        made = World(nyse, [sent]).made()
        delivered(made)
        refused = [m for m in made if isinstance(m, Refused)]
        if len(made) == 1:
            whole += 1
            assert refused[0].body == sent, name
        else:
            assert len(made) - len(refused) == 2, name
            assert b",".join(m.body for m in refused) == body.strip(b" \t\r\n"), name
    assert 0 < whole < len(PAYLOADS) / 2


@pytest.mark.parametrize(
    "unit", [Unit("quote", "IBM"), Unit("bars", "IBM", date(2025, 7, 1), None, "1d")]
)
def test_as_an_answer_of_alpha_vantage(server: Server, nyse: Calendar, unit: Unit) -> None:
    clock = FakeClock()
    http = Http("alphavantage", server.url, Key(KEY, parameter="apikey"), Unguarded(), clock)
    adapter = AlphaVantage(http, Envelopes("alphavantage", "run"), nyse, clock)
    for name, body in PAYLOADS:
        server.always(body)
        with pytest.raises(MalformedError) as caught:
            adapter.fetch(unit)
        assert caught.value.body == body, name


@pytest.mark.parametrize("where", ["row", "label", "field", "meta"])
def test_inside_an_answer_of_alpha_vantage(server: Server, nyse: Calendar, where: str) -> None:
    clock = FakeClock()
    http = Http("alphavantage", server.url, Key(KEY, parameter="apikey"), Unguarded(), clock)
    adapter = AlphaVantage(http, Envelopes("alphavantage", "run"), nyse, clock)
    unit = Unit("bars", "IBM", date(2025, 7, 1), None, "1d")
    for name, payload in PAYLOADS:
        if len(payload) > hostile.MIB:
            continue  # as a whole answer above; quoted once more they only cost time
        body = answer(where, payload)
        server.always(body)
        try:
            made = adapter.fetch(unit)
        except ProviderError as error:
            assert isinstance(error, MalformedError), name
            assert error.body == body, name
        else:
            delivered(made)
            assert any(isinstance(m, Refused) for m in made) or where == "meta", name


def answer(where: str, payload: bytes) -> bytes:
    text = json.dumps(payload.decode(errors="replace")).encode()
    bar = b'{"1. open":"1","2. high":"1","3. low":"1","4. close":"1","5. volume":"1"}'
    row = {"row": payload, "field": bar.replace(b'"1. open":"1"', b'"1. open":' + payload)}
    label = text if where == "label" else b'"2025-07-08"'
    meta = b'{"2. Symbol":"IBM","5. Time Zone":"US/Eastern","1. Information":%s}' % (
        payload if where == "meta" else b'"x"'
    )
    return b'{"Meta Data":%s,"Time Series (Daily)":{%s:%s}}' % (meta, label, row.get(where, bar))


@pytest.mark.parametrize(
    "headers",
    [r.headers for r in hostile.records() if r.headers],
    ids=[r.name for r in hostile.records() if r.headers],
)
def test_as_headers_of_an_answer(server: Server, headers: tuple[hostile.Header, ...]) -> None:
    lines = b"".join(b"%s: %s\r\n" % (n.encode(), v or b"") for n, v in headers)
    server.always(
        Reply(raw=b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n%s\r\n{"c":1,"t":1}\r\n' % lines)
    )
    http = Http("finnhub", server.url, IN_HEADER, Unguarded(), FakeClock())
    with closing(http):
        try:
            [made] = FinnhubQuotes(http, Envelopes("finnhub", "run")).fetch(Unit("quote", "IBM"))
        except ProviderError as error:
            assert isinstance(error, MalformedError | ProviderDownError)
        else:
            delivered([made])
