"""yfinance's WebSocket against a local server: frames as published, and what a server may do."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve
from yfinance.pricing_pb2 import PricingData

from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import QuoteMessage
from ingestion.settings import ROOT
from ingestion.sources.provider import DeniedError, RateLimitedError, Unguarded
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import socket, stream
from ingestion.sources.yahoo.stream import Patience, YahooStream
from tests.ingestion.sources.yahoo.conftest import Counting, StandingClock

# A frame that yfinance publishes in its own tests (samples/PROVENANCE.md).
FRAME = ROOT / "tests/ingestion/fakes/samples/yahoo/stream.json"
GOLDEN = json.loads(FRAME.read_bytes())["message"]
GOLDEN_FIELDS = {
    "id": "BTC-USD", "price": 94745.08, "time": "1736509140000", "currency": "USD",
    "exchange": "CCC", "quote_type": 41, "market_hours": 1, "change_percent": 1.5344921,
    "day_volume": "59712028672", "day_high": 95227.555, "day_low": 92517.22, "change": 1431.8906,
    "open_price": 92529.99, "last_size": "59712028672", "price_hint": "2",
    "vol_24hr": "59712028672", "vol_all_currencies": "59712028672", "from_currency": "BTC",
    "circulating_supply": 19808172.0, "market_cap": 1876726640000.0,
}  # fmt: skip

Handler = Callable[[ServerConnection], None]
# What does not come is missed after so long.
PATIENCE_S = 30.0


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{_port(server)}/?version=2"
        finally:
            server.shutdown()
            thread.join()


def _port(server: Server) -> int:
    return int(server.socket.getsockname()[1])


def frame(message: str) -> str:
    return json.dumps({"type": "pricing", "message": message})


def update(**fields: Any) -> str:
    return frame(base64.b64encode(PricingData(**fields).SerializeToString()).decode())


def sending(*frames: str | bytes, then: Handler = lambda connection: None) -> Handler:
    def handler(connection: ServerConnection) -> None:
        try:
            connection.recv(timeout=5)
            for one in frames:
                connection.send(one)
            then(connection)
        except ConnectionClosed:
            return

    return handler


def hold(connection: ServerConnection) -> None:
    """Keep a connection open until the client leaves."""
    while True:
        connection.recv()


def received(
    url: str, nyse: Calendar, count: int, symbols: tuple[str, ...] = ("AAPL",), **options: Any
) -> tuple[list[Any], YahooStream]:
    """The first things that a stream gives, silence left out; then it is asked to stop."""
    made: list[Any] = []
    until = time.monotonic() + PATIENCE_S
    source = stream.connect(
        options.pop("guard", Unguarded()),
        symbols,
        nyse,
        options.pop("clock", SystemClock()),
        "run-1",
        lambda: len(made) >= count or time.monotonic() > until,
        url,
    )
    source._patience = options.pop("patience", Patience(base_s=0.01))
    for one in source.messages():
        if one is not None:
            made.append(one)
    assert len(made) >= count, f"{len(made)} of {count} in {PATIENCE_S} s"
    return made, source


def test_the_published_frame_is_a_quote_with_its_fields_unaltered(nyse: Calendar) -> None:
    with serving(sending(frame(GOLDEN), then=hold)) as url:
        (quote,), source = received(url, nyse, 1)

    assert isinstance(quote, QuoteMessage)
    assert quote.data == GOLDEN_FIELDS
    assert (quote.symbol, quote.source, quote.simulated) == ("BTC-USD", "yahoo", False)
    assert quote.event_time == "2025-01-10T11:39:00.000000Z"
    assert source.facts() == {
        "connections": 1, "quotes": 1, "refused": 0, "mute": 0, "lost": 0
    }  # fmt: skip


def test_what_is_subscribed_is_in_yahoos_spelling_and_comes_back_in_ours(nyse: Calendar) -> None:
    asked: list[Any] = []

    def handler(connection: ServerConnection) -> None:
        asked.append(json.loads(connection.recv()))
        connection.send(update(id="BRK-B", price=1.5, time=1736509140000, day_volume=7))
        with pytest.raises(ConnectionClosed):
            hold(connection)

    with serving(handler) as url:
        (quote,), _ = received(url, nyse, 1, ("BRK.B", "AAPL"))

    assert set(asked[0]["subscribe"]) == {"BRK-B", "AAPL"}
    assert quote.symbol == "BRK.B"
    assert quote.data == {"id": "BRK-B", "price": 1.5, "time": "1736509140000", "day_volume": "7"}


def test_it_subscribes_again_while_it_listens(
    nyse: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yahoo closes a connection that says nothing."""
    monkeypatch.setattr(stream, "_HEARTBEAT_S", 0.0)
    asked: list[Any] = []

    def handler(connection: ServerConnection) -> None:
        asked.extend(json.loads(connection.recv(timeout=5)) for _ in range(3))
        connection.send(frame(GOLDEN))
        with pytest.raises(ConnectionClosed):
            hold(connection)

    with serving(handler) as url:
        _, source = received(url, nyse, 1)

    assert asked == [{"subscribe": ["AAPL"]}] * 3
    assert source.facts()["connections"] == 1


def test_the_same_update_twice_is_one_event_and_a_changed_one_another(nyse: Calendar) -> None:
    first = update(id="AAPL", price=1.5, time=1736509140000)
    other = update(id="AAPL", price=1.75, time=1736509140000)
    with serving(sending(first, first, other, then=hold)) as url:
        made, _ = received(url, nyse, 3)

    ids = [one.event_id for one in made]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ("garbage", "malformed"),
        ("[" * 100_000, "malformed"),
        ('{"type":"pricing"}', "malformed"),
        ('{"type":"error","message":"no"}', "malformed"),
        (frame("!!!"), "malformed"),
        (frame("AAAA"), "malformed"),
        (frame(""), "malformed"),
        (b"\xff\xfe", "malformed"),
        (update(id="AAPL", price=1.5), "malformed"),
        (update(id="AAPL", price=1.5, time=2**62), "malformed"),
        (update(price=1.5, time=1736509140000), "contract"),
        (update(id="../../etc/passwd", time=1736509140000), "contract"),
        (update(id="=HYPERLINK(1)", time=1736509140000), "contract"),
    ],
)
def test_a_frame_that_is_none_is_kept_whole_and_the_stream_goes_on(
    nyse: Calendar, hostile: str | bytes, reason: str
) -> None:
    with serving(sending(hostile, frame(GOLDEN), then=hold)) as url:
        made, source = received(url, nyse, 2)

    refused, quote = made
    assert isinstance(refused, Refused) and isinstance(quote, QuoteMessage)
    body = hostile.encode() if isinstance(hostile, str) else hostile
    assert (refused.body, refused.topic, refused.reason) == (body, "stock-quotes", reason)
    assert source.facts()["connections"] == 1


def test_a_price_that_is_no_number_passes_as_the_decoder_gives_it(nyse: Calendar) -> None:
    with serving(sending(update(id="A", price=float("nan"), time=1), then=hold)) as url:
        (quote,), _ = received(url, nyse, 1)
    assert quote.data["price"] == "NaN"


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_a_closed_connection_is_opened_again_through_the_guard(nyse: Calendar, code: int) -> None:
    guard = Counting()
    with serving(sending(frame(GOLDEN), then=lambda connection: connection.close(code))) as url:
        made, source = received(url, nyse, 3, guard=guard)

    assert len(made) == 3
    assert guard.calls == source.facts()["connections"] == 3
    assert source.facts()["lost"] == 2


def test_pauses_grow_until_something_is_heard(
    nyse: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []

    def none(_: float, bound: float) -> float:
        longest.append(bound)
        return 0.0

    monkeypatch.setattr(stream.random, "uniform", none)
    with serving(sending(frame(GOLDEN), then=lambda connection: connection.close())) as url:
        received(url, nyse, 4, patience=Patience(base_s=1.0))
    assert longest[:3] == [2.0, 2.0, 2.0]

    longest.clear()
    source = stream.connect(
        Unguarded(), ["AAPL"], nyse, SystemClock(), "run", lambda: len(longest) > 4, "ws://[::1]:9"
    )
    source._patience = Patience(base_s=1.0, cap_s=10.0)
    assert list(source.messages()) == []
    assert longest == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_mute_connection_is_left_in_a_session_and_not_at_night(nyse: Calendar) -> None:
    class Running(StandingClock):
        """A second passes with each reading."""

        def now(self) -> datetime:
            self.moment += timedelta(seconds=1)
            return self.moment

    patience = Patience(mute_after_s=5.0, base_s=0.0)

    def quotes_late(connection: ServerConnection) -> None:
        """The first connection says nothing, the second one does."""
        connections.append(connection)
        if len(connections) > 1:
            connection.send(frame(GOLDEN))
        with pytest.raises(ConnectionClosed):
            hold(connection)

    connections: list[ServerConnection] = []
    with serving(quotes_late) as url:
        clock = Running(datetime(2026, 1, 5, 15, tzinfo=UTC))
        _, source = received(url, nyse, 1, clock=clock, patience=patience)
    assert (source.facts()["mute"], source.facts()["connections"]) == (1, 2)

    with serving(hold_quietly) as url:
        night = Running(datetime(2026, 1, 5, 3, tzinfo=UTC))
        ticks = 0
        source = stream.connect(Unguarded(), ["AAPL"], nyse, night, "run", lambda: ticks >= 10, url)
        for one in source.messages():
            assert one is None
            ticks += 1
    assert source.facts()["mute"] == 0


def hold_quietly(connection: ServerConnection) -> None:
    with pytest.raises(ConnectionClosed):
        hold(connection)


def test_a_local_server_says_that_its_stream_is_simulated(nyse: Calendar) -> None:
    def stated(connection: ServerConnection, request: Any, response: Any) -> None:
        response.headers["X-Tapehouse-Simulated"] = "true"

    handler = sending(frame(GOLDEN), then=hold)
    with serve(handler, "127.0.0.1", 0, process_response=stated) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        (quote,), _ = received(f"ws://127.0.0.1:{_port(server)}", nyse, 1)
        server.shutdown()
        thread.join()
    assert quote.simulated


def test_a_denied_stream_ends(nyse: Calendar) -> None:
    def deny(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(403, "no")

    with serve(hold, "127.0.0.1", 0, process_request=deny) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(DeniedError, match="403"):
            received(f"ws://127.0.0.1:{_port(server)}", nyse, 1)
        server.shutdown()
        thread.join()


def test_a_refused_stream_says_how_long_to_wait() -> None:
    def refuse(connection: ServerConnection, request: Any) -> Any:
        response = connection.respond(429, "no")
        response.headers["Retry-After"] = "7"
        return response

    with serve(hold, "127.0.0.1", 0, process_request=refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(RateLimitedError) as found:
            socket.connect(f"ws://127.0.0.1:{_port(server)}", SystemClock())
        server.shutdown()
        thread.join()
    assert found.value.retry_after_s == 7.0


def test_a_server_that_is_not_there_is_tried_again(nyse: Calendar) -> None:
    ticks = 0
    source = stream.connect(
        Unguarded(), ["AAPL"], nyse, SystemClock(), "run", lambda: ticks >= 3, "ws://127.0.0.1:9"
    )
    source._patience = Patience(base_s=0.3, cap_s=0.3)
    for one in source.messages():
        assert one is None
        ticks += 1
    assert source.facts()["lost"] >= 1


def test_the_published_fields_are_what_protobufs_own_decoder_gives() -> None:
    data = PricingData()
    data.ParseFromString(base64.b64decode(GOLDEN))
    assert MessageToDict(data, preserving_proto_field_name=True) == GOLDEN_FIELDS
