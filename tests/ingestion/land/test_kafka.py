"""What the Kafka side does where a broker is silent; the rest needs a real one."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Uuid

from ingestion.clock import SystemClock
from ingestion.errors import BrokerError
from ingestion.land import kafka
from ingestion.settings import KafkaSettings
from tests.ingestion.land.test_status import FakeClock


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


class Told:
    """A message that only carries an error."""

    def __init__(self, code: int, text: str) -> None:
        self.found = KafkaError(code, text)

    def error(self) -> KafkaError:
        return self.found

    def topic(self) -> None: ...
    def partition(self) -> None: ...
    def offset(self) -> None: ...


def settings() -> KafkaSettings:
    return KafkaSettings(bootstrap_servers="127.0.0.1:1", security_protocol="PLAINTEXT")


def test_a_client_that_gave_up_ends_the_lander() -> None:
    one = kafka.Kafka(settings(), SystemClock())

    with pytest.raises(BrokerError, match="gave up"):
        list(one.events([Told(KafkaError._FATAL, "the group is of another kind")]))

    one.close()


def test_why_the_group_refuses_a_member_is_kept_with_its_beginning() -> None:
    clock = FakeClock()
    one = kafka.Kafka(settings(), clock)
    assert one.failure is None
    for text in ("not authorised", "still not"):
        clock.sleep(5.0)
        assert list(one.events([Told(KafkaError.GROUP_AUTHORIZATION_FAILED, text)])) == []
    assert one.failure == (5.0, "still not")
    one.close()


def test_a_client_that_waits_for_a_silent_broker_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "AdminClient", Admin)
    one = kafka.Kafka(settings(), SystemClock())

    with pytest.raises(BrokerError):
        one.generation("stock-quotes")

    assert one.generation("stock-quotes") == f"{7:032x}"
    assert Admin.made == 2
    one.close()
