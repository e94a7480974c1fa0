"""What becomes of the errors that a lander's clients meet."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from structlog.testing import capture_logs

from ingestion.errors import BrokerError
from ingestion.land.connection import Connection
from tests.ingestion.land.test_questions import settings
from tests.ingestion.land.test_status import FakeClock


def refuse() -> None:
    raise KafkaException(KafkaError(KafkaError._TRANSPORT, "failed"))


def silence() -> None:
    raise TimeoutError


def test_a_question_that_fails_says_what_the_connection_met_last() -> None:
    connection = Connection(settings(), FakeClock())
    meet: Any = connection.client["error_cb"]

    with pytest.raises(BrokerError, match=r"^Kafka: no answer$"):
        connection.ask(silence)
    meet(KafkaError(KafkaError._RESOLVE, "no such host"))
    meet(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    with pytest.raises(BrokerError, match=r"^Kafka: failed \(no such host\)$"):
        connection.ask(refuse)


def test_errors_are_logged_once_a_member_has_joined_and_not_each_of_them() -> None:
    clock = FakeClock()
    connection = Connection(settings(), clock)
    meet: Any = connection.client["error_cb"]

    with capture_logs() as logged:
        meet(KafkaError(KafkaError._TRANSPORT, "before"))
        connection.has_joined = True
        for text in ("first", "soon after", "later"):
            meet(KafkaError(KafkaError._TRANSPORT, text))
            clock.sleep(5.0)

    assert [(one["event"], one["error"]) for one in logged] == [
        ("kafka_connection", "first"),
        ("kafka_connection", "later"),
    ]
