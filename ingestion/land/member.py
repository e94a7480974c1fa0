"""Kafka's side: reading, as one member of the landers' group."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import BrokerError
from ingestion.land.chain import Failure
from ingestion.land.connection import Connection
from ingestion.land.lines import encode
from ingestion.land.protocol import (
    Commit,
    EndOfPartition,
    Event,
    Partition,
    PositionLost,
    Records,
)

BATCH: Final = 5_000  # messages; beyond some hundreds only memory grows
CONSUME_TIMEOUT_S: Final = 0.1  # consume() waits this out whenever less than a batch is there

_CONSUMER: Final[dict[str, str | int | bool]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # positions come from storage; a lost one must be seen
    "enable.partition.eof": True,  # tells that only transaction markers are left
    "isolation.level": "read_committed",
    "fetch.min.bytes": 65_536,
    "fetch.wait.max.ms": 100,
    "max.partition.fetch.bytes": 2**20,
    "fetch.max.bytes": 16 * 2**20,
    "fetch.queue.backoff.ms": 5,  # 1000 by default: a full queue then costs a second each time
    "max.poll.interval.ms": 300_000,
    "check.crcs": True,
}
QUEUE_BYTES: Final = 16 * 2**20
# What the client keeps beside each message is not counted as its bytes: short ones are counted.
_BYTES_PER_QUEUED: Final = 160
# After SIGKILL a partition waits for its dead owner's session: 6 s is the least brokers allow by
# default. The new protocol's session is a broker setting, 45 s by default.
_CLASSIC: Final[dict[str, str | int | bool]] = {
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
}
_LOST_POSITION: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})

Rebalance = Callable[[tuple[Partition, ...]], None]
GroupProtocol = Literal["classic", "consumer"]


def fetching(queue_bytes: int) -> dict[str, str | int | bool]:
    """Return librdkafka's settings of a lander's reading, ``queue_bytes`` ahead at most."""
    return {
        **_CONSUMER,
        "queued.min.messages": queue_bytes // _BYTES_PER_QUEUED,
        "queued.max.messages.kbytes": queue_bytes // 1024,
    }


class Member:
    """The landers' consumer; it belongs to the thread that reads."""

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        protocol: GroupProtocol = "classic",
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Create the consumer; it joins the group at `subscribe`."""
        self._log = logs.get("land.member")
        self._connection = connection
        self._clock = clock
        group = _CLASSIC if protocol == "classic" else {"group.protocol": "consumer"}
        self._consumer = Consumer(
            {
                **connection.client,
                **fetching(queue_bytes),
                **group,
                "group.id": connection.group,
                "on_commit": self._committed,
            }
        )
        self.failure: Failure | None = None
        """Why the group does not take this member; None once it has, be it with no partition."""

    def known_end(self, partition: Partition) -> int | None:
        """Return the end of the log as last seen while reading; None when not seen yet."""
        low_high = self._consumer.get_watermark_offsets(TopicPartition(*partition), cached=True)
        return low_high[1] if low_high and low_high[1] >= 0 else None

    def subscribe(
        self, topics: Sequence[str], assigned: Rebalance, revoked: Rebalance, lost: Rebalance
    ) -> None:
        """Join the group; the callbacks run inside `consume`."""

        def on_assign(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            # Reading starts with a seek. A number, because the client would look a symbolic
            # offset up, and an answer after the seek would undo it.
            for one in partitions:
                one.offset = 0
            consumer.incremental_assign(partitions)
            consumer.pause(partitions)
            self.failure = None
            assigned(_names(partitions))

        def on_revoke(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            revoked(_names(partitions))
            consumer.incremental_unassign(partitions)

        def on_lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            lost(_names(partitions))
            consumer.incremental_unassign(partitions)

        self._connection.has_joined = True
        self._consumer.subscribe(
            list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost
        )

    def consume(self, timeout_s: float = CONSUME_TIMEOUT_S) -> list[Message]:
        """Return the next messages, events of the client among them; serve the group.

        Less than a batch is returned after ``timeout_s``.

        Raises:
            BrokerError: the client can not go on.
        """
        found: list[Message] = self._connection.ask(
            lambda: self._consumer.consume(BATCH, timeout_s)
        )
        return found

    def events(self, messages: Iterable[Message]) -> Iterable[Event]:
        """Turn messages into events of the protocol, in order.

        Raises:
            BrokerError: the client reports an error that it does not recover from.
        """
        for (topic, number), group in groupby(messages, _place):
            batch = list(group)
            records = [message for message in batch if message.error() is None]
            if records:
                yield Records(Partition(topic, number), encode(records))
            if len(records) < len(batch):
                yield from self._signals(batch)

    def seek(self, partition: Partition, offset: int) -> None:
        """Read on from ``offset``, also where the partition is paused or has no valid position."""
        place = TopicPartition(*partition, offset)
        try:
            self._consumer.seek(place)
            self._consumer.resume([place])
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise BrokerError(f"seek {partition} to {offset}: {error.args[0]}") from error
            self._reassign(place)

    def pause(self, partition: Partition) -> None:
        """Stop fetching a partition."""
        self._consumer.pause([TopicPartition(*partition)])

    def commit(self, commits: Iterable[Commit]) -> None:
        """Send committed offsets; a failure is only logged, they are hints."""
        offsets = [
            TopicPartition(*c.partition, c.offset, metadata=f"{c.generation}:{c.hint}")
            for c in commits
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._committed(error.args[0], offsets)

    def close(self) -> None:
        """Leave the group; may take long when the broker does not answer."""
        self._consumer.close()

    def _signals(self, messages: list[Message]) -> Iterable[Event]:
        for message in messages:
            error = message.error()
            if error is None:
                continue
            place = Partition(*_place(message))
            if error.code() == KafkaError._PARTITION_EOF:
                yield EndOfPartition(place, message.offset() or 0)
            elif error.code() in _LOST_POSITION:
                yield PositionLost(place, error.str())
            elif error.fatal() or error.code() == KafkaError._FATAL:  # the latter is not flagged
                raise BrokerError(f"the Kafka client gave up: {error}")
            else:
                if message.topic() is None:
                    self._note_failure(error)
                self._log.error("kafka_error", partition=str(place), error=str(error))

    def _note_failure(self, error: KafkaError) -> None:
        since = self.failure.since if self.failure else self._clock.monotonic()
        self.failure = Failure(since, error.str())

    def _reassign(self, place: TopicPartition) -> None:
        # A partition whose position was refused is stopped inside the client: seek() cannot
        # start it again, a new assignment can.
        if any(
            (p.topic, p.partition) == (place.topic, place.partition) for p in self._assignment()
        ):
            self._consumer.incremental_unassign([place])
            self._consumer.incremental_assign([place])
            self._consumer.resume([place])  # it keeps the pause it had

    def _assignment(self) -> list[TopicPartition]:
        return list(self._consumer.assignment())

    def _committed(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        if error is not None:
            self._log.warning("commit_failed", error=str(error), partitions=len(offsets))


def _place(message: Message) -> tuple[str, int]:
    return message.topic() or "", message.partition() or 0


def _names(partitions: Iterable[TopicPartition]) -> tuple[Partition, ...]:
    return tuple(Partition(one.topic, one.partition) for one in partitions)
