"""What is landed in most rows: made-up messages of about 220 bytes."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Self

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
_POLL_EVERY: Final = 1_000  # often enough for the reports of delivery never to pile up
_FULL_WAIT_S: Final = 0.05  # ends as soon as a report comes; a bound only
# Kafka ends a transaction after 60 s by default. Joining alone may take as long, filling comes on
# top, and a slow machine takes several times what a fast one does. Brokers allow 900 s.
_HELD_MS: Final = 600_000
_REQUEST_S: Final = 30.0  # the first transaction of a broker waits until it has a topic for them

Note = Callable[[KafkaError | None, Message], None]


class Sent(NamedTuple):
    """What was put into a topic; ``value_bytes`` without keys.

    ``digest`` tells values apart in any order (`digest`); None where they are not known.
    """

    records: int
    value_bytes: int
    digest: int | None = None

    def times(self, number: int) -> "Sent":
        """Return what it is when the same was sent so many times."""
        total = None if self.digest is None else number * self.digest
        return Sent(number * self.records, number * self.value_bytes, total)


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


def digest(values: Iterable[bytes]) -> int:
    """Return the sum of the values' hashes, which hold for this process only.

    A sum, so that neither order nor the split into objects matters, and a value too many counts.
    """
    return sum(map(hash, values))


def fill(topic: str, items: Iterable[Item]) -> Sent:
    """Send records and wait until Kafka has confirmed all of them.

    Raises:
        DeliveryError: one was not confirmed.
    """
    return _send(Producer(_settings()), topic, items)


class Held:
    """Records that are in Kafka and that nobody can read before `release`: a transaction of them.

    What reads them has joined its group and waits, and then has all of it at once. Where the block
    ends without a release, nobody ever reads them.
    """

    def __init__(self, producer: Producer) -> None:
        """Take a transactional producer, which nobody else uses."""
        self._producer = producer
        self._is_open = False

    def __enter__(self) -> Self:
        """Begin the transaction."""
        self._producer.init_transactions(_REQUEST_S)
        self._producer.begin_transaction()
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        """Abort it where it was not committed."""
        if self._is_open:
            self._is_open = False
            self._producer.abort_transaction(_REQUEST_S)

    def fill(self, topic: str, items: Iterable[Item]) -> Sent:
        """Send records and wait until Kafka has them.

        Raises:
            DeliveryError: one was not confirmed.
        """
        return _send(self._producer, topic, items)

    def release(self) -> None:
        """Let them be read."""
        self._producer.commit_transaction(_REQUEST_S)
        self._is_open = False


def transactional(name: str) -> Producer:
    """Return a producer of transactions: the super user, no declared user may have any."""
    own = {"transactional.id": name, "transaction.timeout.ms": _HELD_MS}
    return Producer({**_settings(), **KafkaSettings.load().client("admin"), **own})


def _settings() -> dict[str, Any]:
    settings = kafka.configuration(KafkaSettings.load(), kafka.DELIVERY_TIMEOUT_S)
    return {**settings, "log_level": 3}  # a young broker's notices are no one's news


def _send(producer: Producer, topic: str, items: Iterable[Item]) -> Sent:
    failed: list[str] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.str())

    records = value_bytes = total = 0
    for records, item in enumerate(items, start=1):
        while not _handed_over(producer, topic, item, note):
            producer.poll(_FULL_WAIT_S)
        value_bytes += len(item.value)
        total += hash(item.value)
        if records % _POLL_EVERY == 0:
            producer.poll(0)
    producer.flush()
    if failed:
        raise DeliveryError(f"{topic}: {len(failed)} of {records} not confirmed: {failed[0]}")
    return Sent(records, value_bytes, total)


def _handed_over(producer: Producer, topic: str, item: Item, note: Note) -> bool:
    try:
        producer.produce(topic, item.value, item.key, item.partition, note)
    except BufferError:
        return False
    return True
