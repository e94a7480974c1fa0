"""Records with timestamps of their own, sent once and confirmed one by one."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from drill.matrix.errors import UnprovenError
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing
from ingestion.settings import KafkaSettings

_TIMEOUT_S: Final = 60.0
_CONFIG: Final = {
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    # The client's own bound is on what is not yet compressed; the broker's is on what is.
    "message.max.bytes": 2**24,
    "log_level": 0,
}


class Stamped(NamedTuple):
    """A record, and its Kafka timestamp where it is not to be the time of sending."""

    record: Outgoing
    timestamp_ms: int | None = None


class Place(NamedTuple):
    """Where Kafka put a record."""

    topic: str
    partition: int
    offset: int


def send(records: Iterable[Stamped], ledger: Ledger | NoLedger) -> list[Place]:
    """Send records in order; return their places in that order.

    Raises:
        UnprovenError: one was not confirmed.
    """
    sending = _Sending(ledger)
    for number, one in enumerate(records):
        sending.hand_over(number, one)
    return list(sending.places())


class _Sending:
    def __init__(self, ledger: Ledger | NoLedger) -> None:
        self._ledger = ledger
        self._producer = Producer({**KafkaSettings.load().client("producer"), **_CONFIG})
        self._places: dict[int, Place] = {}
        self._errors: list[str] = []
        self._handed_over = 0

    def hand_over(self, number: int, one: Stamped) -> None:
        record = one.record

        def answered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                place = Place(record.topic, message.partition() or 0, message.offset() or 0)
                self._places[number] = place
                self._ledger.acked(record, place.partition, place.offset)
            else:
                self._errors.append(f"record {number} of {record.topic}: {error.str()}")

        self._ledger.intend([record])
        more: dict[str, Any] = {} if one.timestamp_ms is None else {"timestamp": one.timestamp_ms}
        self._producer.produce(
            record.topic,
            record.value,
            record.key,
            headers=record.headers,
            on_delivery=answered,
            **more,
        )
        self._producer.poll(0)
        self._handed_over += 1

    def places(self) -> Iterator[Place]:
        left = self._producer.flush(_TIMEOUT_S)
        self._ledger.flush()
        if left or self._errors:
            first = self._errors[0] if self._errors else "no answer"
            text = f"{left + len(self._errors)} of {self._handed_over} records not confirmed"
            raise UnprovenError(f"{text}: {first}")
        return (self._places[number] for number in range(self._handed_over))
