"""Kafka's side: reading as one member of the landers' group, and what is asked of the cluster."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Final, Literal

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import BrokerError
from ingestion.land.chain import Failure
from ingestion.land.lines import encode
from ingestion.land.protocol import (
    Commit,
    EndOfPartition,
    Event,
    Partition,
    PositionLost,
    Records,
)
from ingestion.land.replaced import Replaced
from ingestion.settings import KafkaSettings

BATCH: Final = 5_000  # messages; beyond some hundreds only memory grows
CONSUME_TIMEOUT_S: Final = 0.1  # consume() waits this out whenever less than a batch is there
REQUEST_TIMEOUT_S: Final = 10.0
_DESCRIBE_TIMEOUT_S: Final = 3.0  # some milliseconds are usual; each PUT waits for it
_LOG_ERRORS_EVERY_S: Final = 10.0  # the client reports each of its attempts to reconnect

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


class Kafka:
    """The landers' consumer and the questions that go with it.

    Reading, seeking and pausing belong to the thread that created it; the questions
    (`describe`, `generation`, `watermarks`) may be asked from any thread.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        protocol: GroupProtocol = "classic",
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        """Create the clients; the consumer joins the group at `subscribe`.

        Raises:
            SettingsError: the lander's password is not set.
        """
        self._log = logs.get("land.kafka")
        self._clock = clock
        self._last_error = ""
        self._logged_error: float | None = None
        connection: dict[str, Any] = {
            **settings.client("lander"),
            "log_level": 2,
            "error_cb": self._error,
        }
        group = _CLASSIC if protocol == "classic" else {"group.protocol": "consumer"}
        self._consumer = Consumer(
            {
                **connection,
                **fetching(queue_bytes),
                **group,
                "group.id": settings.landers_group,
                "on_commit": self._committed,
            }
        )
        # A member's connections are busy with long fetches, which held answers up for seconds.
        asking = {**connection, "group.id": settings.landers_group}
        self._asker = Replaced(lambda: Consumer(asking))
        self._admin = Replaced(lambda: AdminClient(connection))
        self._joined = False  # before that, an error is the caller's to tell
        self.failed_commits = 0
        self.failure: Failure | None = None
        """Why the group does not take this member; None once it has, be it with no partition."""

    def check(self) -> None:
        """Make sure that Kafka answers and knows the user.

        Raises:
            BrokerError: it does not; the text says why.
        """
        try:
            self._asker.client.list_topics(timeout=REQUEST_TIMEOUT_S)
        except KafkaException as error:
            self._asker.client.poll(0)  # lets the connection's own error through to `_error`
            reason = self._last_error or error.args[0].str()
            raise BrokerError(f"Kafka: {reason}") from error

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """Return the partitions of topics.

        Raises:
            BrokerError: Kafka refuses, does not answer, or lacks a topic.
        """
        found = [self._describe_topic(topic) for topic in topics]
        return [
            Partition(topic.name, number)
            for topic in found
            for number in range(len(topic.partitions))
        ]

    def generation(self, topic: str) -> str:
        """Return the topic's id, 32 hex digits.

        Raises:
            BrokerError: Kafka refuses, does not answer, or lacks the topic.
        """
        uuid = self._describe_topic(topic).topic_id
        high, low = uuid.get_most_significant_bits(), uuid.get_least_significant_bits()
        return f"{high % 2**64:016x}{low % 2**64:016x}"

    def committed(self, partition: Partition, generation: str) -> tuple[int | None, int | None]:
        """Return the group's committed offset and the first offset of the object before it.

        Both are None when nothing is committed for this generation of the topic.

        Raises:
            BrokerError: Kafka refuses or does not answer.
        """
        asked = [TopicPartition(*partition)]
        found = self._ask(
            lambda: self._asker.ask(lambda it: it.committed(asked, timeout=REQUEST_TIMEOUT_S))
        )[0]
        if found.error:
            raise BrokerError(f"committed offset of {partition}: {found.error}")
        of, _, hint = (found.metadata or "").partition(":")
        if found.offset < 0 or (of and of != generation):
            return None, None
        return found.offset, int(hint) if hint.isdigit() else None

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return (first offset, end) of the partition's log.

        Raises:
            BrokerError: Kafka refuses or does not answer.
        """
        asked = TopicPartition(*partition)
        found = self._ask(
            lambda: self._asker.ask(
                lambda it: it.get_watermark_offsets(asked, timeout=REQUEST_TIMEOUT_S)
            )
        )
        if found is None:
            raise BrokerError(f"no offsets of {partition} within {REQUEST_TIMEOUT_S:.0f} s")
        return int(found[0]), int(found[1])

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

        self._joined = True
        self._consumer.subscribe(
            list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost
        )

    def consume(self, timeout_s: float = CONSUME_TIMEOUT_S) -> list[Message]:
        """Return the next messages, events of the client among them; serve the group.

        Less than a batch is returned after ``timeout_s``.

        Raises:
            BrokerError: the client can not go on.
        """
        found: list[Message] = self._ask(lambda: self._consumer.consume(BATCH, timeout_s))
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
        """Send committed offsets; a failure is only counted, they are hints."""
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

    def _describe_topic(self, topic: str) -> Any:  # noqa: ANN401 - the client's TopicDescription
        def ask(admin: AdminClient) -> Any:  # noqa: ANN401 - as above
            futures = admin.describe_topics(
                TopicCollection([topic]), request_timeout=_DESCRIBE_TIMEOUT_S
            )
            return futures[topic].result(_DESCRIBE_TIMEOUT_S + 1)

        return self._ask(lambda: self._admin.ask(ask))

    def _ask(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        try:
            return question()
        except KafkaException as error:
            reason = error.args[0].str()
        except (TimeoutError, RuntimeError) as error:  # RuntimeError: the consumer is closed
            reason = str(error) or "no answer"
        seen = f" ({self._last_error})" if self._last_error else ""
        raise BrokerError(f"Kafka: {reason}{seen}")

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # always follows the one that says why
            self._last_error = error.str()
        now = self._clock.monotonic()
        if self._joined and (
            self._logged_error is None or now - self._logged_error >= _LOG_ERRORS_EVERY_S
        ):
            self._logged_error = now
            self._log.warning("kafka_connection", error=error.str())

    def _committed(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        if error is not None:
            self.failed_commits += 1
            self._log.warning("commit_failed", error=str(error), partitions=len(offsets))


def _place(message: Message) -> tuple[str, int]:
    return message.topic() or "", message.partition() or 0


def _names(partitions: Iterable[TopicPartition]) -> tuple[Partition, ...]:
    return tuple(Partition(one.topic, one.partition) for one in partitions)
