"""What Kafka holds for the landers, asked briefly and without joining their group."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from ingestion.errors import BrokerError
from ingestion.land.protocol import Partition
from ingestion.settings import KafkaSettings

TIMEOUT_S: Final = 3.0  # people wait for the answer


class Offsets(NamedTuple):
    """Where a partition's log ends, and up to where the landers' group has committed it."""

    end: int
    committed: int

    @property
    def lag(self) -> int:
        """Offsets not committed yet."""
        return max(0, self.end - self.committed)


class Backlog:
    """Asks as the lander; each of the three questions takes `TIMEOUT_S` at most.

    Committed offsets are asked through a consumer: AdminClient.list_consumer_group_offsets of
    confluent-kafka 2.16 crashes the process when the group's coordinator answers with an error.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        """Create the clients; nothing is sent yet.

        Raises:
            SettingsError: the lander's password is not set.
        """
        self._last_error = ""
        config: dict[str, Any] = {
            **settings.client("lander"),
            "log_level": 0,
            "error_cb": self._error,
        }
        self._admin = AdminClient(config)
        self._consumer = Consumer({**config, "group.id": settings.landers_group})

    def ask(self, topics: Sequence[str]) -> dict[Partition, Offsets]:
        """Return the offsets of every partition of topics.

        A partition without a committed offset counts from 0.

        Raises:
            BrokerError: Kafka refuses, does not answer, or lacks a topic.
        """
        places = [
            TopicPartition(topic, number) for topic in topics for number in self._numbers(topic)
        ]
        ends = self._ask(lambda: self._ends(places))
        found = self._ask(lambda: self._consumer.committed(places, timeout=TIMEOUT_S))
        committed = dict(map(_committed, found))
        return {place: Offsets(end, committed[place]) for place, end in ends.items()}

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _numbers(self, topic: str) -> list[int]:
        found = self._ask(lambda: self._admin.list_topics(topic, timeout=TIMEOUT_S)).topics[topic]
        if found.error:
            raise BrokerError(f"Kafka: topic {topic}: {found.error.str()}")
        return sorted(found.partitions)

    def _ends(self, places: Sequence[TopicPartition]) -> dict[Partition, int]:
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the client lacks types here
        asked = dict.fromkeys(places, latest)
        futures = self._admin.list_offsets(asked, request_timeout=TIMEOUT_S)
        return {
            Partition(place.topic, place.partition): future.result(TIMEOUT_S + 1).offset
            for place, future in futures.items()
        }

    def _ask(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        try:
            return question()
        except KafkaException as error:
            self._admin.poll(0)  # lets the connection's own error through to `_error`
            raise BrokerError(f"Kafka: {self._last_error or error.args[0].str()}") from error
        except TimeoutError as error:  # a future's, which says nothing
            raise BrokerError(f"Kafka: {self._last_error or 'no answer'}") from error

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # always follows the one that says why
            self._last_error = error.str()


def _committed(found: TopicPartition) -> tuple[Partition, int]:
    place = Partition(found.topic, found.partition)
    if found.error:
        raise BrokerError(f"Kafka: committed offset of {place}: {found.error.str()}")
    return place, max(0, found.offset)
