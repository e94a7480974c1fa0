"""Live mode from a feed to WebSocket clients, and from a real Kafka."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import uvicorn
from confluent_kafka import Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, TopicMetadata
from starlette.applications import Starlette
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from dashboards.web import feed as module
from dashboards.web.feed import Feed, Status, routes
from dashboards.web.tape import Seen
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.envelope import encode
from ingestion.contracts.topics import REALTIME
from ingestion.settings import KafkaSettings
from tests.dashboards.web.trades import OPEN, trade
from tests.support import wait_for

XNYS = calendar.get()


class FakeFeed(Feed):
    """A feed without Kafka whose state is one number."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(), XNYS, SystemClock())
        self.number = 0
        self.asked = 0
        self.padding = ""
        self._status = Status("live")

    def since(self, symbol: str, seen: Seen) -> tuple[dict[str, Any], Seen] | None:
        self.asked += 1
        if self.number <= seen.version:
            return None
        shown = {"symbol": symbol, "number": self.number, "padding": self.padding}
        return shown, Seen(self.number, self.number)


@contextmanager
def served(feed: Feed) -> Iterator[str]:
    """Serve a feed on a port of its own; yield the address without a scheme."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(Starlette(routes=routes(feed)), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def received(client: ClientConnection, timeout_s: float = 10) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.recv(timeout_s))
    return found


def first(client: ClientConnection, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while not wanted(found := received(client, 30)):
        assert time.monotonic() < deadline, f"last came {found}"
    return found


def test_a_client_gets_the_status_and_then_what_is_new() -> None:
    feed = FakeFeed()
    with served(feed) as place, connect(f"ws://{place}/live?symbol=AAPL") as client:
        assert received(client)["state"] == "live"
        feed.number = 7
        found = received(client)
        assert (found["type"], found["number"], found["reconciled"]) == ("trade", 7, False)
        assert abs(found["sent_ms"] / 1000 - time.time()) < 10
        feed._status = Status("down", "Kafka: away")
        found = received(client)
        assert (found["state"], found["detail"]) == ("down", "Kafka: away")


def test_after_any_state_but_live_all_is_told_anew() -> None:
    feed = FakeFeed()
    feed.number = 7
    feed._status = Status("down", "Kafka: away")
    with served(feed) as place, connect(f"ws://{place}/live?symbol=AAPL") as client:
        assert received(client)["state"] == "down"
        for _ in range(2):
            feed._status = Status("live")
            assert received(client)["state"] == "live"
            assert received(client)["number"] == 7
            feed._status = Status("down", "Kafka: away")
            assert received(client)["state"] == "down"


class OtherPartitions:
    """A consumer of one partition of a topic that has two by now."""

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(REALTIME, 0)]

    def consume(self, _number: int, _wait_s: float) -> list[Message]:
        return []

    def list_topics(self, topic: str, timeout: float) -> ClusterMetadata:
        found = ClusterMetadata()
        found.topics[topic] = TopicMetadata()
        found.topics[topic].partitions = dict.fromkeys((0, 1))
        return found


def test_a_topic_with_other_partitions_is_not_live_until_it_is_read_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_ASK_EVERY_S", 0.0)
    feed = FakeFeed()
    feed._follow(OtherPartitions())  # type: ignore[arg-type]
    assert feed.status == Status("connecting")


def test_a_fast_feed_is_conflated() -> None:
    feed = FakeFeed()
    with served(feed) as place, connect(f"ws://{place}/live?symbol=AAPL") as client:
        received(client)
        ends = time.monotonic() + 1
        while time.monotonic() < ends:
            feed.number += 1
            time.sleep(0.001)
        texts = [first(client, lambda text: text["type"] == "trade")]
        while texts[-1]["number"] < feed.number:
            texts.append(received(client))
        assert len(texts) <= 12
        assert feed.number > 200


def test_a_client_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLOW_S", 0.5)
    monkeypatch.setattr(module, "_PERIOD_S", 0.001)
    feed = FakeFeed()
    feed.padding = "x" * 200_000
    growing = threading.Event()

    def grow() -> None:
        while not growing.wait(0.001):
            feed.number += 1

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        with served(feed) as place, socket.create_connection(place.split(":")) as client:
            client.sendall(
                f"GET /live?symbol=AAPL HTTP/1.1\r\nHost: {place}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            wait_for(lambda: feed.asked > 0)

            def has_ended() -> bool:
                before = feed.asked
                time.sleep(0.8)
                return feed.asked == before

            wait_for(has_ended)
            # What lay in the buffers of both ends, and nothing after it.
            assert feed.asked < 500
            with connect(f"ws://{place}/live?symbol=AAPL", max_size=None) as other:
                assert received(other)["state"] == "live"
    finally:
        growing.set()
        thread.join()


@pytest.mark.parametrize(
    ("query", "origin"),
    [
        ("", None),
        ("?symbol=", None),
        ("?symbol=aapl;drop", None),
        ("?symbol=AAPL", "http://evil.example"),
    ],
)
def test_who_is_refused(query: str, origin: str | None) -> None:
    with served(FakeFeed()) as place, pytest.raises(InvalidStatus):
        connect(f"ws://{place}/live{query}", origin=origin)  # type: ignore[arg-type]


def test_the_page_s_own_origin_is_served() -> None:
    with served(FakeFeed()) as place:
        own: Any = f"http://{place}"
        with connect(f"ws://{place}/live?symbol=AAPL", origin=own) as client:
            assert received(client)["type"] == "status"


def test_too_many_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLIENTS", 1)
    with served(FakeFeed()) as place:
        with connect(f"ws://{place}/live?symbol=AAPL") as client:
            received(client)
            with pytest.raises(InvalidStatus):
                connect(f"ws://{place}/live?symbol=AAPL")
        wait_for(lambda: _connects(place))


def _connects(place: str) -> bool:
    try:
        with connect(f"ws://{place}/live?symbol=AAPL"):
            return True
    except InvalidStatus:
        return False


def test_a_feed_that_stops_says_so() -> None:
    feed = FakeFeed()
    with served(feed) as place, connect(f"ws://{place}/live?symbol=AAPL") as client:
        feed.stop()
        first(client, lambda text: text.get("state") == "stopped")
        with pytest.raises(ConnectionClosed):
            received(client)


def test_without_kafka_the_feed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = KafkaSettings(port=port, security_protocol="PLAINTEXT")
    feed = Feed(settings, XNYS, SystemClock())
    feed.start()
    try:
        found = wait_for(lambda: feed.status if feed.status.state == "down" else None)
        assert str(port) in found.detail
        assert found.detail.startswith("Kafka: ")
    finally:
        feed.stop()
    secret = Feed(KafkaSettings(), XNYS, SystemClock())
    secret.start()
    try:
        found = wait_for(lambda: secret.status if secret.status.state == "down" else None)
        assert "KAFKA_AUDITOR_PASSWORD" in found.detail
    finally:
        secret.stop()


def send(producer: Producer, number: int, price: str, **more: Any) -> None:
    message = trade(number, OPEN, price, **more)
    answers: list[Any] = []
    producer.produce(
        REALTIME,
        encode(message),
        message.symbol.encode(),
        on_delivery=lambda error, _message: answers.append(error),
    )
    producer.flush(60)
    assert answers == [None]


@pytest.mark.integration
def test_from_a_real_kafka_that_goes_and_comes_back(stack_factory: Any) -> None:
    """A Kafka of its own, for it is stopped here."""
    running = stack_factory.make("live", ("kafka",))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        settings = KafkaSettings.load()
        producer = Producer(settings.client("producer"))
        send(producer, 1, "99")  # before the feed: not read
        feed = Feed(settings, XNYS, SystemClock())
        feed.start()
        try:
            with served(feed) as place, connect(f"ws://{place}/live?symbol=AAPL") as client:
                first(client, lambda text: text.get("state") == "live")
                before = datetime.now(UTC).timestamp() * 1000
                send(producer, 2, "10.5", size="7")
                send(producer, 3, "1", symbol="MSFT")
                found = first(client, lambda text: text["type"] == "trade")
                [candle] = found["candles"]
                assert (candle["open"], candle["volume"], candle["n"]) == (10.5, 7, 1)
                assert (found["symbol"], found["simulated"]) == ("AAPL", True)
                assert before - 1 <= found["last"]["kafka_ms"] <= found["sent_ms"]
                assert found["sent_ms"] - before < 5_000
                assert _groups(settings) == []

                running.stack.stop(("kafka",))
                down = first(client, lambda text: text.get("state") == "down")
                assert down["detail"].startswith("Kafka: ")
                running.stack.up(("kafka",))
                first(client, lambda text: text.get("state") == "live")
                send(producer, 4, "11")
                # What is kept of before is told anew.
                first(client, lambda text: (text.get("last") or {}).get("price") == 11)
        finally:
            feed.stop()


def _groups(settings: KafkaSettings) -> list[str]:
    admin = AdminClient(settings.client("admin"))
    found = admin.list_consumer_groups(request_timeout=10).result()
    return [group.group_id for group in found.valid]
