"""What is landed in most rows: made-up messages of about 220 bytes."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from ingestion.errors import DeliveryError
from ingestion.produce import kafka
from ingestion.settings import KafkaSettings

PARTITIONS: Final = 4
_SYMBOLS: Final = [f"SYM{number:03d}" for number in range(200)]
_TEMPLATE: Final = (
    b'{"symbol":"%b","seq":%d,"id":"%016x","price":"%d.%04d","size":"%d","exchange":"XNAS",'
    b'"conditions":["@","T"],"event_time":"2026-03-02T15:%02d:%02d.%06dZ","source":"benchmark",'
    b'"simulated":true,"currency":"USD"}'
)
_POLL_EVERY: Final = 1_000
_FULL_WAIT_S: Final = 0.05
_HELD_MS: Final = 600_000
_REQUEST_S: Final = 30.0

Note = Callable[[KafkaError | None, Message], None]


class Sent(NamedTuple):
    """What was put into a topic; ``value_bytes`` without keys."""

    records: int
    value_bytes: int


class Item(NamedTuple):
    """One record before it is sent; a symbol keeps its partition, partitions are of one size."""

    partition: int
    key: bytes
    value: bytes


def made_up(count: int) -> Iterator[Item]:
    """Make messages that differ as real ones do, the same ones each time."""
    draw = random.Random(7)  # noqa: S311 - not a secret
    for number in range(count):
        place = draw.randrange(len(_SYMBOLS))
        yield Item(place % PARTITIONS, _SYMBOLS[place].encode(), _value(place, number, draw))


def _value(place: int, number: int, draw: random.Random) -> bytes:
    bits = draw.getrandbits(64)
    minute, micros = divmod(bits % 3_600_000_000, 60_000_000)
    return _TEMPLATE % (
        _SYMBOLS[place].encode(), number, bits, 20 + place, bits % 10_000, 1 + bits % 900,
        minute, *divmod(micros, 1_000_000),
    )  # fmt: skip


def fill(topic: str, items: Iterable[Item]) -> Sent:
    """Send records and wait until Kafka has confirmed all of them.

    Raises:
        DeliveryError: one was not confirmed.
    """
    return _send(Producer(_settings()), topic, items)


class Held:
    """Records that are in Kafka and that nobody can read before `release`: a transaction of them.

    What reads them has joined its group and waits, and then has all of it at once.
    """

    def __init__(self, name: str) -> None:
        """Begin; the super user, since no declared user may have transactions."""
        own = {"transactional.id": name, "transaction.timeout.ms": _HELD_MS}
        self._producer = Producer({**_settings(), **KafkaSettings.load().client("admin"), **own})
        self._producer.init_transactions(_REQUEST_S)
        self._producer.begin_transaction()

    def fill(self, topic: str, items: Iterable[Item]) -> Sent:
        """Send records and wait until Kafka has them.

        Raises:
            DeliveryError: one was not confirmed.
        """
        return _send(self._producer, topic, items)

    def release(self) -> None:
        """Let them be read."""
        self._producer.commit_transaction(_REQUEST_S)


def _settings() -> dict[str, Any]:
    settings = kafka.configuration(KafkaSettings.load(), kafka.DELIVERY_TIMEOUT_S)
    return {**settings, "log_level": 3}  # a young broker's notices are no one's news


def _send(producer: Producer, topic: str, items: Iterable[Item]) -> Sent:
    failed: list[str] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.str())

    records = value_bytes = 0
    for records, item in enumerate(items, start=1):
        while not _handed_over(producer, topic, item, note):
            producer.poll(_FULL_WAIT_S)
        value_bytes += len(item.value)
        if records % _POLL_EVERY == 0:
            producer.poll(0)
    producer.flush()
    if failed:
        raise DeliveryError(f"{topic}: {len(failed)} of {records} not confirmed: {failed[0]}")
    return Sent(records, value_bytes)


def _handed_over(producer: Producer, topic: str, item: Item, note: Note) -> bool:
    try:
        producer.produce(topic, item.value, item.key, item.partition, note)
    except BufferError:
        return False
    return True
