"""What tests of several parts do alike: wait for what they can see, read all that Kafka holds."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from ingestion.settings import KafkaSettings


def wait_for(what: Callable[[], Any], timeout_s: float = 30) -> Any:
    """Poll until ``what`` is true; return it."""
    deadline = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.05)
    return found


def in_kafka(topics: Iterable[str]) -> list[Message]:
    """Everything in these topics, read by ``assign`` and without a group."""
    consumer = Consumer(KafkaSettings.load().client("auditor") | {"group.id": "unused"})
    try:
        known = consumer.list_topics(timeout=10).topics
        places = [TopicPartition(t, p, 0) for t in topics for p in known[t].partitions]
        count = sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in places)
        consumer.assign(places)
        found: list[Message] = []
        while len(found) < count:
            for message in consumer.consume(1_000, timeout=1):
                assert not message.error(), message.error()
                found.append(message)
        return found
    finally:
        consumer.close()
