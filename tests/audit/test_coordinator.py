"""A group's offsets while its coordinator starts or moves."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError

from audit.errors import UnreadableError
from audit.kafka import Kafka
from tests.ingestion.produce.conftest import MockKafka

OFFSET_FETCH = 9


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    broker = MockKafka()
    yield broker
    broker.stop()


@pytest.mark.parametrize(
    "error", [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS]
)
def test_a_coordinator_that_starts_is_asked_again(kafka: MockKafka, error: int) -> None:
    kafka.fail_next(error, error, request=OFFSET_FETCH)
    broker = Kafka({"bootstrap.servers": kafka.servers})
    assert broker.committed("landers") == {}
    broker.close()


def test_a_refusal_is_told_at_once(kafka: MockKafka) -> None:
    kafka.fail_next(KafkaError.GROUP_AUTHORIZATION_FAILED, request=OFFSET_FETCH)
    broker = Kafka({"bootstrap.servers": kafka.servers})
    with pytest.raises(UnreadableError, match=r"(?i)authorization"):
        broker.committed("landers")
    broker.close()
