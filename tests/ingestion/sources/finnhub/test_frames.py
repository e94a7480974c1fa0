"""Frames of trades: each trade read by itself, its numbers as text, its bytes kept where bad."""

import json
from decimal import Decimal

import pytest

from ingestion.contracts import envelope
from ingestion.contracts.identity import trade_id
from ingestion.contracts.records import TradeMessage
from ingestion.errors import ContractError
from ingestion.sources.finnhub.frames import Frame, Ping, Place, StreamError, Trades, read
from ingestion.sources.observed import Envelopes
from ingestion.sources.source import Refused
from tests.ingestion.sources.providers import sample

PLACE = Place("c0ffee", 7, "2025-07-08T14:30:00.000000Z", 100)
GOOD = b'{"c":["1"],"p":280.235,"s":"SPY","t":1587739079469,"v":100}'


def parsed(frame: bytes) -> Frame:
    return read(frame, PLACE, Envelopes("finnhub", "run"))


def trades(*items: bytes) -> list[object]:
    found = parsed(b'{"data":[%s],"type":"trade"}' % b",".join(items))
    assert isinstance(found, Trades)
    return [*found.made]


def trade(item: bytes) -> TradeMessage:
    [made] = trades(item)
    assert isinstance(made, TradeMessage), made
    return made


def test_a_published_frame_is_read_trade_by_trade() -> None:
    frame = sample("finnhub/trades.json")
    found = parsed(frame)
    assert isinstance(found, Trades)

    document = json.loads(frame, parse_float=str, parse_int=str)
    for index, (made, item) in enumerate(zip(found.made, document["data"], strict=True)):
        assert isinstance(made, TradeMessage)
        assert made.symbol == item["s"]
        assert (made.data.price, made.data.size) == (item["p"], item["v"])
        assert made.data.conditions == item["c"]
        assert made.data.seq == 100 + index
        assert made.event_id == trade_id("finnhub", "c0ffee", 7, index)
        assert envelope.decode(envelope.encode(made)) == made
    assert found.made[0].event_time == "2022-12-29T21:21:27.195000Z"  # type: ignore[union-attr]


def test_a_symbol_that_no_topic_takes_is_refused() -> None:
    [refused] = parsed(sample("finnhub/trades-documentation.json")).made  # type: ignore[union-attr]
    assert isinstance(refused, Refused)
    assert b"BINANCE:BTCUSDT" in refused.body


def test_a_ping_and_a_complaint_are_told_apart() -> None:
    complaint = parsed(sample("finnhub/stream-error.json"))

    assert isinstance(parsed(sample("finnhub/ping.json")), Ping)
    assert isinstance(complaint, StreamError)
    assert complaint.is_too_many_symbols
    other = parsed(b'{"type":"error","msg":"Invalid symbol"}')
    assert isinstance(other, StreamError)
    assert not other.is_too_many_symbols


def test_a_complaint_without_end_is_cut() -> None:
    found = parsed(json.dumps({"type": "error", "msg": "too many symbols" * 10**6}).encode())
    assert isinstance(found, StreamError)
    assert found.is_too_many_symbols
    assert len(found.text) <= 200


@pytest.mark.parametrize(
    ("price", "size", "as_price", "as_size"),
    [
        (b"280.50", b"0", "280.50", "0"),
        (b"0.100000000000000005", b"0.011467", "0.100000000000000005", "0.011467"),
        (b"1e2", b"1E-7", "100", "0.0000001"),
    ],
)
def test_price_and_size_are_exact(price: bytes, size: bytes, as_price: str, as_size: str) -> None:
    made = trade(b'{"p":%s,"s":"SPY","t":1587739079469,"v":%s}' % (price, size))

    assert (made.data.price, made.data.size) == (as_price, as_size)
    assert Decimal(as_price) == Decimal(price.decode())


@pytest.mark.parametrize("c", [b"", b'"c":null,', b'"c":[],'])
def test_conditions_may_be_missing(c: bytes) -> None:
    assert trade(b'{%s"p":1,"s":"SPY","t":1587739079469,"v":1}' % c).data.conditions == []


def test_equal_trades_are_two_events() -> None:
    first, second = trades(GOOD, GOOD)
    assert first.event_id != second.event_id  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "bad",
    [
        b"null", b"1", b"[]", b"{}", b'"SPY"',
        b'{"p":"1","s":"SPY","t":1,"v":1}', b'{"p":null,"s":"SPY","t":1,"v":1}',
        b'{"p":1e99,"s":"SPY","t":1,"v":1}', b'{"p":1,"s":"SPY","t":1,"v":1e999999999}',
        b'{"p":1,"s":"spy","t":1,"v":1}', b'{"p":1,"s":7,"t":1,"v":1}',
        b'{"p":1,"s":["SPY"],"t":1,"v":1}', b'{"p":1,"s":"../etc","t":1,"v":1}',
        b'{"p":1,"s":"SPY","t":"1","v":1}', b'{"p":1,"s":"SPY","t":1.5,"v":1}',
        b'{"p":1,"s":"SPY","t":9007199254740991,"v":1}', b'{"p":1,"s":"SPY","v":1}',
        b'{"p":1,"p":2,"s":"SPY","t":1,"v":1}', b'{"c":[1],"p":1,"s":"SPY","t":1,"v":1}',
        b'{"c":"1","p":1,"s":"SPY","t":1,"v":1}', b'{ "p" : 1 }',
        b"[" * 400 + b"]" * 400,
        b'{"p":0.1234567890123456789,"s":"SPY","t":1,"v":1}',
    ],
)  # fmt: skip
def test_one_bad_trade_is_refused_alone_with_its_own_bytes(bad: bytes) -> None:
    before, refused, after = trades(GOOD, bad, GOOD)

    assert isinstance(before, TradeMessage)
    assert isinstance(after, TradeMessage)
    assert isinstance(refused, Refused)
    assert (refused.body, refused.topic) == (bad, "stock-market-realtime")
    assert "frame 7 of c0ffee, trade 1: " in refused.detail


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"null", b"[]", b"{}", b'{"type":"news","data":[]}', b'{"type":"trade"}',
        b'{"type":"trade","data":null}', b'{"type":"trade","data":{"p":1}}',
        b'{"type":"trade","data":[%s],"data":[]}' % GOOD, b'{"type":"trade","data":[%s' % GOOD,
        b'{"type":"trade","data":[%s,{"p":NaN}]}' % GOOD, b'{"type":"trade","data":["\xff"]}',
        rb'{"type":"trade","data":["\ud800"]}', b'{"type":"trade","data":' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_document_of_trades_is_refused_whole(frame: bytes) -> None:
    with pytest.raises(ContractError):
        parsed(frame)
