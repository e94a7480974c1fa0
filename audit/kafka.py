"""Kafka, by ``assign`` and without a group: the offsets that really hold records."""

import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any, cast

import numpy as np
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from audit import hints
from audit.book import value_hash
from audit.content import Header, digest
from audit.errors import UnreadableError
from audit.model import NO_VALUES, NOTHING, Holdings, Offsets, Partition, Valued
from audit.wanted import NOBODY, Wanted

_TIMEOUT = 10.0  # seconds for one answer of the broker
# Told while a group's coordinator starts or moves: asked again it answers.
_NO_COORDINATOR_YET = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_AGAIN = 0.2  # seconds between two such questions
_STALL = 30.0  # seconds without a single record before reading is given up
_BATCH = 10_000
_WAIT = 0.05  # consume() waits for a full batch or this long
# Through this and never as `message.headers()`: where a name is not UTF-8, confluent-kafka gives a
# list with a null pointer and sets an exception. A specialised call of CPython 3.11 overlooks
# that, and the exception comes out of a later line; a methodcaller raises SystemError.
_ask_headers = methodcaller("headers")


@dataclass
class Log:
    """One partition: the log's start, where reading stopped (exclusive), the records between."""

    low: int
    end: int
    offsets: Offsets = field(default_factory=lambda: NOTHING)
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    valued: Valued = NO_VALUES
    """The values that were asked for."""


@dataclass
class _Reading:
    low: int
    end: int
    wanted: bytes
    """One byte for each offset, not 0 where its value is asked for; empty where none is."""

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    valued: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[int]" = field(default_factory=lambda: array("Q"))

    def keep_into(self, log: Log) -> None:
        log.end = self.end
        log.offsets = np.array(self.offsets, dtype=np.int64)
        log.hashes = np.array(self.hashes, dtype=np.uint64)
        values = np.array(self.values, dtype=np.uint64)
        log.valued = Valued(np.array(self.valued, dtype=np.int64), values)


class Kafka:
    """The broker, read with the auditor's user."""

    def __init__(self, config: Mapping[str, str], timeout_s: float = _TIMEOUT) -> None:
        self._timeout = timeout_s
        self._cause: KafkaError | None = None
        shared: dict[str, Any] = {**config, "error_cb": self._note, "log_level": 2}
        self._shared = shared
        self._askers: dict[str, Consumer] = {}
        self._admin = AdminClient(dict(shared))
        self._consumer = Consumer(
            {
                **shared,
                "group.id": "audit",  # the client asks for one; nothing is joined or committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": 32_768,
            }
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def partitions(self, topics: Iterable[str]) -> list[Partition]:
        """Return the partitions of those topics that exist, with their present generation."""
        with self._answers("topics"):
            existing = self._admin.list_topics(timeout=self._timeout).topics.keys() & set(topics)
            if not existing:
                return []
            asked = self._admin.describe_topics(
                TopicCollection(sorted(existing)), request_timeout=self._timeout
            )
            described = [answer.result() for answer in asked.values()]
        return [
            Partition(topic.name, _hex(topic.topic_id), part.id)
            for topic in described
            for part in topic.partitions
        ]

    def watermarks(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """Return each partition's log start and end."""
        with self._answers("offsets"):
            return {
                place: self._consumer.get_watermark_offsets(
                    TopicPartition(place.topic, place.partition), timeout=self._timeout
                )
                for place in partitions
            }

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Return what a group has committed, per topic and partition that we may see.

        Asked through a consumer that joins nothing: the admin client's request aborts the process
        when the group's coordinator answers with an error (confluentinc/librdkafka#4605).
        """
        asker = self._askers.pop(group, None) or Consumer({**self._shared, "group.id": group})
        with self._answers(f"the offsets of group {group}"):
            topics = asker.list_topics(timeout=self._timeout).topics
            places = [TopicPartition(t, n) for t, one in topics.items() for n in one.partitions]
            found = self._committed(asker, places) if places else []
        self._askers[group] = asker  # one that got no answer may wait for a broker that is gone
        return {(item.topic, item.partition): item.offset for item in found if item.offset >= 0}

    def _committed(self, asker: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
        until = time.monotonic() + self._timeout
        while True:
            try:
                found = asker.committed(places, timeout=self._timeout)
                for item in found:
                    if item.error is not None:
                        raise KafkaException(item.error)
                return found
            except KafkaException as error:
                if error.args[0].code() not in _NO_COORDINATOR_YET or time.monotonic() > until:
                    raise
            time.sleep(_AGAIN)

    def read(
        self, partitions: Iterable[Partition], deep: bool = False, wanted: Wanted = NOBODY
    ) -> dict[Partition, Log]:
        """Read every record between the watermarks of now.

        Transaction markers and what compaction removed are no records: the offsets that come
        back may have holes.
        """
        marks = self.watermarks(partitions)
        logs = {place: Log(low, high) for place, (low, high) in marks.items()}
        readings = {
            place: _Reading(log.low, log.end, _picked(wanted, place, log))
            for place, log in logs.items()
            if log.low < log.end
        }
        with self._answers("records"):
            self._consume(readings, deep)
        for place, found in readings.items():
            found.keep_into(logs[place])
        return logs

    def _consume(self, readings: Mapping[Partition, _Reading], deep: bool) -> None:
        names = {(place.topic, place.partition): place for place in readings}
        pending = set(readings)
        self._consumer.assign(
            [TopicPartition(p.topic, p.partition, found.low) for p, found in readings.items()]
        )
        deadline = time.monotonic() + _STALL
        while pending:
            batch = self._consumer.consume(_BATCH, _WAIT)
            if batch:
                deadline = time.monotonic() + _STALL
            elif time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            for message in batch:
                place = names[str(message.topic()), int(message.partition() or 0)]
                if place in pending and _take(message, readings[place], deep):
                    pending.discard(place)
        self._consumer.unassign()

    def _note(self, error: KafkaError) -> None:
        """Keep the connection's own error: a request says no more than that it failed."""
        is_general = error.code() == KafkaError._ALL_BROKERS_DOWN
        if self._cause is None or not is_general:
            self._cause = error

    @contextmanager
    def _answers(self, what: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            self._admin.poll(0)  # lets the connection's own error through to `_note`
            self._admin = AdminClient(dict(self._shared))  # as with those who ask for commits
            cause = self._cause or error.args[0]
            text = f"Kafka: {what} cannot be read: {cause.str()}{hints.kafka(cause.code())}"
            raise UnreadableError(text) from error


def _take(message: Message, reading: _Reading, deep: bool) -> bool:
    """Keep a record; return whether the partition has now been read to its end."""
    error, offset = message.error(), int(message.offset() or 0)
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        # Under read_committed the end may lie before the high watermark: an open transaction.
        reading.end = min(reading.end, offset)
        return True
    if offset < reading.end:
        reading.offsets.append(offset)
        if deep:
            reading.hashes.append(_digest(message))
        if reading.wanted and reading.wanted[offset - reading.low]:
            reading.valued.append(offset)
            reading.values.append(value_hash(message.value()))
    return offset >= reading.end - 1


def _picked(wanted: Wanted, place: Partition, log: Log) -> bytes:
    mask = wanted.mask(place, np.arange(log.low, log.end))
    return mask.tobytes() if mask.any() else b""


def _digest(message: Message) -> int:
    return digest(message.timestamp()[1], message.key(), _headers(message), message.value())


def _headers(message: Message) -> Iterable[Header] | None:
    try:
        return cast("Iterable[Header]", _ask_headers(message) or [])
    except SystemError:  # a name is not UTF-8; asking again would hand out a null pointer
        return None


def _hex(topic_id: object) -> str:
    high = topic_id.get_most_significant_bits()  # type: ignore[attr-defined]
    low = topic_id.get_least_significant_bits()  # type: ignore[attr-defined]
    return f"{high & (1 << 64) - 1:016x}{low & (1 << 64) - 1:016x}"


def held(logs: Mapping[Partition, Log]) -> Holdings:
    """Return the records per partition."""
    return {place: log.offsets for place, log in logs.items()}
