"""Live mode: the last trade and the forming minutes of a symbol, from Kafka to the browser.

One thread per process reads the topic of trades from its end, by assignment and as the auditor,
who may read and nothing else: no group is joined, nothing is committed. Clients share what it
keeps. Each is sent the newest state ten times a second at most, never what lies between: there is
no queue that a slow client could fill. What is shown is live and not yet reconciled.
"""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, Literal, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboards.web.tape import Record, Seen, Tape
from ingestion import logs
from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.contracts.records import Symbol
from ingestion.contracts.topics import REALTIME
from ingestion.settings import KafkaSettings

State = Literal["connecting", "live", "down", "stopped"]

# The client insists on a name, and asks who coordinates it.
GROUP: Final = "live"
_CONSUMER: Final[dict[str, str | int | bool]] = {
    "group.id": GROUP,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Only where retention has removed what we were about to read: told as an error, see `_follow`.
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    # A trade is handed over as it comes; the broker need not collect any.
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 5,
    "queued.max.messages.kbytes": 8 * 1024,
    "socket.timeout.ms": 10_000,
    "reconnect.backoff.max.ms": 5_000,
    "log_level": 0,
}
_BATCH: Final = 500
_WAIT_S: Final = 0.05
# Kafka is asked whether it is there: without trades it says nothing by itself.
_ASK_EVERY_S: Final = 5.0
_TIMEOUT_S: Final = 2.0
_BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)

_PERIOD_S: Final = 0.1
_HEARTBEAT_S: Final = 5.0
# Who has not taken a hundred bytes for so long is gone, or as good as.
_SLOW_S: Final = 10.0
MAX_CLIENTS: Final = 200
_POLICY, _TRY_LATER, _GOING_AWAY = 1008, 1013, 1001

_encode = msgspec.json.Encoder().encode


class Status(NamedTuple):
    """Whether Kafka is read; `detail` says why not."""

    state: State
    detail: str = ""


class Feed:
    """Reads trades in a thread of its own and keeps the newest by symbol."""

    def __init__(self, kafka: KafkaSettings, calendar: Calendar, clock: Clock) -> None:
        """Take settings, sessions and the clock; nothing is connected yet."""
        self._kafka = kafka
        self.clock = clock
        self._tape = Tape(calendar)
        self._mutex = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._status = Status("connecting")
        self._said = ""
        self._log = logs.get("live")

    @property
    def status(self) -> Status:
        """Whether Kafka is read."""
        return self._status

    def start(self) -> None:
        """Begin to read; Kafka need not be there yet."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="live-feed", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, some seconds later at most where Kafka does not answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._tell(Status("stopped"))

    def since(self, symbol: str, seen: Seen) -> tuple[dict[str, Any], Seen] | None:
        """Return what has changed of a symbol; see `Tape.since`."""
        with self._mutex:
            return self._tape.since(symbol, seen)

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            try:
                with self._consumer() as consumer:
                    attempt = 0
                    self._follow(consumer)
            except Exception as error:
                # Of whatever kind: every client is told, and it is tried again. Without this
                # thread there is no live mode until the process starts anew.
                self._tell(Status("down", self._why(error)))
                self._log.warning("live_feed", error=self._why(error))
            # What came meanwhile is not read: minutes that were forming are incomplete.
            with self._mutex:
                self._tape.forget()
            self._stop.wait(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            attempt += 1

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        """Give a consumer that stands at the end of every partition."""
        self._said = ""
        config = {**self._kafka.client("auditor"), **_CONSUMER, "error_cb": self._hear}
        with closing(Consumer(config, logger=_silent())) as consumer:
            ends = [
                TopicPartition(
                    REALTIME,
                    number,
                    consumer.get_watermark_offsets(
                        TopicPartition(REALTIME, number), timeout=_TIMEOUT_S
                    )[1],
                )
                for number in _partitions(consumer)
            ]
            consumer.assign(ends)
            self._tell(Status("live"))
            yield consumer

    def _follow(self, consumer: Consumer) -> None:
        numbers = {place.partition for place in consumer.assignment()}
        asked = self.clock.monotonic()
        while not self._stop.is_set():
            for message in consumer.consume(_BATCH, _WAIT_S):
                self._take(message)
            if self.clock.monotonic() - asked >= _ASK_EVERY_S:
                if not self._is_there(consumer, numbers):
                    self._tell(Status("connecting"))
                    return  # the topic has other partitions: begun anew
                asked = self.clock.monotonic()

    def _is_there(self, consumer: Consumer, numbers: set[int]) -> bool:
        """Tell whether Kafka answers; return whether its partitions are those that are read.

        Where it does not, the client goes on trying, and goes on where it was.
        """
        try:
            found = set(_partitions(consumer))
        except KafkaException as error:
            self._tell(Status("down", self._why(error)))
            return True
        self._said = ""  # an error that is over explains none that comes
        self._tell(Status("live"))
        return found == numbers

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        record = Record(
            message.value(),
            int(message.partition() or 0),
            int(message.offset() or 0),
            message.timestamp()[1],
        )
        with self._mutex:
            self._tape.take(record)

    def _tell(self, status: Status) -> None:
        self._status = status

    def _hear(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # follows the one that says why
            self._said = error.str()

    def _why(self, error: Exception) -> str:
        found = error.args[0] if isinstance(error, KafkaException) else error
        text = found.str() if isinstance(found, KafkaError) else str(found)
        return f"Kafka: {self._said or text}"


def _partitions(consumer: Consumer) -> list[int]:
    topic = consumer.list_topics(REALTIME, timeout=_TIMEOUT_S).topics[REALTIME]
    if topic.error is not None:
        raise KafkaException(topic.error)
    return sorted(topic.partitions)


def _silent() -> logging.Logger:
    logger = logging.getLogger("dashboards.live.kafka")
    logger.disabled = True  # what the client says comes to `_hear`
    return logger


def routes(feed: Feed) -> list[BaseRoute]:
    """Return the WebSocket route ``/live?symbol=AAPL``, for the page's Starlette application.

    The application starts and stops the feed in its lifespan. Each text is one JSON object:

    ``{"type": "trade", "symbol", "source", "simulated", "reconciled": false, "sent_ms",
    "conflated", "last": {"price", "size", "event_ms", "kafka_ms"} or null, "candles":
    [{"start_s", "end_s", "open", "high", "low", "close", "volume", "n", "segment",
    "is_partial"}]}``: `last` and the minutes that have changed since the text before; a minute
    that has ended comes again when a correction or a late trade changes it. None while the state
    is not live; the first one after that has all minutes that are kept.

    ``{"type": "status", "state": "live" | "connecting" | "down" | "stopped", "detail",
    "sent_ms"}``: at once, on change, and every five seconds.
    """
    clients = _Clients()

    async def live(socket: WebSocket) -> None:
        refusal = _refusal(socket, clients.count)
        if refusal is not None:
            await socket.close(*refusal)
            return
        await socket.accept()
        with clients.one():
            await _serve(socket, feed)

    return [WebSocketRoute("/live", live)]


class _Clients:
    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


_symbols = msgspec.json.Decoder(Symbol)


def _refusal(socket: WebSocket, clients: int) -> tuple[int, str] | None:
    # Browsers let any page open a WebSocket to anywhere; only ours is to.
    origin = socket.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != socket.headers.get("host"):
        return _POLICY, "another origin"
    try:
        _symbols.decode(_encode(socket.query_params.get("symbol", "")))
    except msgspec.ValidationError:
        return _POLICY, "expected ?symbol=, such as AAPL"
    return (_TRY_LATER, "too many clients") if clients >= MAX_CLIENTS else None


async def _serve(socket: WebSocket, feed: Feed) -> None:
    """Send until the client leaves, or does not take what it is sent."""
    sending = asyncio.create_task(_send(socket, feed, socket.query_params["symbol"]))
    leaving = asyncio.create_task(_until_left(socket))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        done = await asyncio.gather(sending, leaving, return_exceptions=True)
    for error in done:
        # A client that leaves, or takes nothing, is no error of ours.
        if isinstance(error, Exception) and not isinstance(
            error, WebSocketDisconnect | TimeoutError
        ):
            raise error


async def _until_left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass  # clients have nothing to say


async def _send(socket: WebSocket, feed: Feed, symbol: str) -> None:
    seen, beat = Seen(), 0.0
    told: Status | None = None
    while True:
        status, now = feed.status, feed.clock.monotonic()
        if status != told or now - beat >= _HEARTBEAT_S:
            told, beat = status, now
            await _text(socket, feed.clock, {"type": "status", **status._asdict()})
        if status.state != "live":
            seen = Seen()  # browsers drop what was forming: they are told all of it anew
        elif (news := feed.since(symbol, seen)) is not None:
            shown, seen = news
            await _text(socket, feed.clock, {"type": "trade", "reconciled": False, **shown})
        if status.state == "stopped":
            await socket.close(_GOING_AWAY)
            return
        await asyncio.sleep(_PERIOD_S)


async def _text(socket: WebSocket, clock: Clock, document: dict[str, Any]) -> None:
    stamped = _encode({**document, "sent_ms": int(clock.now().timestamp() * 1000)}).decode()
    await asyncio.wait_for(socket.send_text(stamped), _SLOW_S)
