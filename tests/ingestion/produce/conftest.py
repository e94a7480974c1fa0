"""A broker without a broker: librdkafka's mock cluster, which lives as long as its producer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

TOPICS = ("stock-market-batch", "stock-quotes", "stock-market-realtime", "stock-market-dlq")


@dataclass
class MockKafka:
    """One mock broker with our topics; ``stop`` takes it away."""

    host: Producer
    servers: str

    def stop(self) -> None:
        self.host.close()

    def read(self, topic: str, count: int) -> list[Message]:
        """Return all records of a topic; fails unless there are exactly ``count``."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "test"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            marks = {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in partitions
            }
            assert sum(high - low for low, high in marks.values()) == count
            consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in marks.items()])
            found: list[Message] = []
            while len(found) < count:
                found.extend(consumer.consume(count, timeout=0.2))
            return found
        finally:
            consumer.close()


def start_mock() -> MockKafka:
    host = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    for topic in TOPICS:
        host.list_topics(topic, timeout=10)
    broker = next(iter(host.list_topics(timeout=10).brokers.values()))
    return MockKafka(host, f"{broker.host}:{broker.port}")


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    mock = start_mock()
    yield mock
    mock.stop()


@pytest.fixture
def mock_environment(kafka: MockKafka) -> dict[str, str]:
    """What makes our commands talk to the mock."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.servers, "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}


class FakeClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_000.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        self.on_sleep()
