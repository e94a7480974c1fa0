"""Quotes: the provider's own fields, under the symbol that was asked for."""

import json

import finnhub
import msgspec
import pytest

from ingestion.contracts import envelope
from ingestion.contracts.records import QuoteMessage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import DeniedError, MalformedError, RateLimitedError, Unguarded
from tests.ingestion.sources.providers import KEY, FakeClock, Reply, Server, sample

UNIT = Unit("quote", "AAPL")
HEADER = Key(KEY, header="X-Finnhub-Token")
SAMPLES = ["quote", "quote-documentation", "quote-unknown-symbol"]


def quotes(server: Server, clock: FakeClock | None = None) -> FinnhubQuotes:
    client = Http("finnhub", server.url, HEADER, Unguarded(), clock or FakeClock())
    return FinnhubQuotes(client, Envelopes("finnhub", "run"))


def fetch(server: Server, clock: FakeClock | None = None) -> QuoteMessage:
    [made] = quotes(server, clock).fetch(UNIT)
    assert isinstance(made, QuoteMessage)
    assert envelope.decode(envelope.encode(made)).event_id == made.event_id
    return made


@pytest.mark.parametrize("name", SAMPLES)
def test_a_published_answer_passes_as_it_is(server: Server, name: str) -> None:
    body = sample(f"finnhub/{name}.json")
    server.always(body)

    made = fetch(server)

    assert made.data == json.loads(body)
    assert (made.symbol, made.source, made.simulated) == ("AAPL", "finnhub", False)
    assert server.asked[0].path == "/quote"
    assert server.asked[0].query == {"symbol": "AAPL"}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_official_client_reads_the_same(
    server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.always(Reply(sample(f"finnhub/{name}.json"), 200, {"Content-Type": "application/json"}))
    monkeypatch.setattr(finnhub.Client, "API_URL", server.url)

    official = finnhub.Client(api_key=KEY)
    try:
        theirs = official.quote("AAPL")
    finally:
        official.close()

    assert fetch(server).data == theirs
    assert server.asked[0].path == server.asked[1].path
    # The key is the only difference: theirs is in the address, which ends up in logs.
    assert server.asked[0].query == {**server.asked[1].query, "token": KEY}
    assert server.asked[1].headers["X-Finnhub-Token"] == KEY


def test_the_numbers_are_the_ones_that_were_sent(server: Server) -> None:
    server.always(b'{"c":261.740,"d":0.1000000000000000055,"dp":1e-7,"extra":"x","t":1582641000}')
    encoded = envelope.encode(fetch(server))

    data = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])["data"]
    assert bytes(data) == (
        b'{"c":261.740,"d":0.1000000000000000055,"dp":1e-7,"extra":"x","t":1582641000}'
    )


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (1582641000, "2020-02-25T14:30:00.000000Z"),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.000000Z"),
    ],
)
def test_the_event_time_is_t_whatever_it_says(server: Server, t: int, expected: str) -> None:
    server.always(b'{"c":0,"t":%d}' % t)
    assert fetch(server).event_time == expected


def test_the_same_quote_polled_again_is_the_same_event(server: Server) -> None:
    server.always(b'{"c":261.74,"t":1582641000}')
    clock = FakeClock()
    first = fetch(server, clock)
    clock.sleep(5)
    again = fetch(server, clock)
    server.always(b'{"c":261.75,"t":1582641000}')
    other = fetch(server, clock)

    assert first.event_id == again.event_id != other.event_id
    assert first.fetched_at < again.fetched_at


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"{}", b'{"error":"x"}', b'{"t":1}', b'{"c":1}',
        b'{"c":1,"t":"1582641000"}', b'{"c":1,"t":null}', b'{"c":1,"t":1.5}', b'{"c":NaN,"t":1}',
        b'{"c":1,"t":1582641000000}', b'{"c":1e400,"t":1}', b'{"c":1,"t":1,"c":2}',
        b'{"c":[1],"t":1}', b'{"c":1,"t":' + b"9" * 5_000 + b"}", b'{"c":1,"t":9007199254740991}',
    ],
)  # fmt: skip
def test_what_is_no_quote_is_refused_with_its_bytes(server: Server, body: bytes) -> None:
    server.always(body)
    with pytest.raises(MalformedError) as caught:
        quotes(server).fetch(UNIT)
    assert caught.value.body == body


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [("401", 401, DeniedError), ("403", 403, DeniedError), ("429", 429, RateLimitedError)],
)
def test_a_published_refusal_is_typed(
    server: Server, name: str, status: int, error: type[Exception]
) -> None:
    server.always(Reply(sample(f"finnhub/error-{name}.json"), status))
    with pytest.raises(error):
        quotes(server).fetch(UNIT)


def test_it_serves_quotes_and_tells_how_many(server: Server) -> None:
    server.always(b'{"c":1,"t":1}')
    adapter = quotes(server)
    adapter.fetch(UNIT)

    assert adapter.serves(UNIT)
    assert not adapter.serves(Unit("bars", "AAPL", interval="1d"))
    assert (adapter.name, adapter.facts()) == ("finnhub", {"quotes": 1})
