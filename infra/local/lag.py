"""How far the landers' committed offsets are behind the end of the log, as the auditor sees it."""

from collections.abc import Iterable
from contextlib import closing

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingestion.errors import BrokerError
from ingestion.settings import KafkaSettings

TIMEOUT_S = 10.0


def by_topic(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """Return per topic the records that the landers' group has not committed yet.

    A partition without a committed offset counts from the start of its log. Asked through a
    consumer that never joins the group: AdminClient.list_consumer_group_offsets of confluent-kafka
    2.16 crashes the process when the group's coordinator answers with an error.

    Raises:
        BrokerError: Kafka refused or did not answer.
    """
    config = {**settings.client("auditor"), "group.id": settings.landers_group, "log_level": 0}
    try:
        with closing(Consumer(config)) as consumer:
            return {topic: _lag(consumer, topic) for topic in topics}
    except KafkaException as error:
        raise BrokerError(f"consumer lag: {error}") from error


def _lag(consumer: Consumer, topic: str) -> int:
    found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions
    partitions = [TopicPartition(topic, partition) for partition in found]
    committed = consumer.committed(partitions, timeout=TIMEOUT_S) if partitions else []
    return sum(_behind(consumer, place) for place in committed)


def _behind(consumer: Consumer, place: TopicPartition) -> int:
    ends = consumer.get_watermark_offsets(place, timeout=TIMEOUT_S, cached=False)
    if ends is None:
        raise BrokerError(f"no offsets of {place.topic} [{place.partition}] in {TIMEOUT_S:.0f} s")
    start, end = ends
    return int(end - max(place.offset, start))
