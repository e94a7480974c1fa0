"""What is asked of Kafka where a broker is silent; the rest needs a real one."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid

from ingestion.clock import SystemClock
from ingestion.errors import BrokerError
from ingestion.land import questions
from ingestion.land.connection import Connection
from ingestion.land.questions import Questions
from ingestion.settings import KafkaSettings


class Described:
    topic_id = Uuid(0, 7)


class Admin:
    """The first client made waits for a broker that is gone; any other one is answered."""

    made = 0

    def __init__(self, _: Any) -> None:
        type(self).made += 1
        self.is_silent = self.made == 1

    def describe_topics(self, asked: Any, **_: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        if self.is_silent:
            answer.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
        else:
            answer.set_result(Described())
        return {"stock-quotes": answer}


def settings() -> KafkaSettings:
    return KafkaSettings(bootstrap_servers="127.0.0.1:1", security_protocol="PLAINTEXT")


def test_a_client_that_waits_for_a_silent_broker_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(questions, "AdminClient", Admin)
    one = Questions(Connection(settings(), SystemClock()))

    with pytest.raises(BrokerError):
        one.generation("stock-quotes")

    assert one.generation("stock-quotes") == f"{7:032x}"
    assert Admin.made == 2
