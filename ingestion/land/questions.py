"""What is asked of the cluster: its topics, the ends of its logs, what the landers committed."""

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from ingestion.errors import BrokerError
from ingestion.land.connection import Connection
from ingestion.land.protocol import Partition
from ingestion.land.replaced import Replaced

REQUEST_TIMEOUT_S: Final = 10.0
_DESCRIBE_TIMEOUT_S: Final = 3.0  # some milliseconds are usual; each PUT waits for it


class Questions:
    """Asks from any thread, with clients of its own that join no group and need no closing.

    A member's connections are busy with long fetches, which held answers up for seconds.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        consumer = {**connection.client, "group.id": connection.group}
        self._asker = Replaced(lambda: Consumer(consumer))
        self._admin = Replaced(lambda: AdminClient(connection.client))

    def check(self) -> None:
        """Make sure that Kafka answers and knows the user.

        Raises:
            BrokerError: it does not; the text says why.
        """
        try:
            self._asker.client.list_topics(timeout=REQUEST_TIMEOUT_S)
        except KafkaException as error:
            self._asker.client.poll(0)  # lets the connection's own error through
            reason = self._connection.last_error or error.args[0].str()
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
        found = self._connection.ask(
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
        found = self._connection.ask(
            lambda: self._asker.ask(
                lambda it: it.get_watermark_offsets(asked, timeout=REQUEST_TIMEOUT_S)
            )
        )
        if found is None:
            raise BrokerError(f"no offsets of {partition} within {REQUEST_TIMEOUT_S:.0f} s")
        return int(found[0]), int(found[1])

    def _describe_topic(self, topic: str) -> Any:  # noqa: ANN401 - the client's TopicDescription
        def ask(admin: AdminClient) -> Any:  # noqa: ANN401 - as above
            futures = admin.describe_topics(
                TopicCollection([topic]), request_timeout=_DESCRIBE_TIMEOUT_S
            )
            return futures[topic].result(_DESCRIBE_TIMEOUT_S + 1)

        return self._connection.ask(lambda: self._admin.ask(ask))
