"""What is asked of Kafka for people who wait for the answer."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError

from ingestion.errors import BrokerError
from ingestion.land import backlog
from ingestion.land.backlog import Backlog, Offsets
from ingestion.land.protocol import Partition
from ingestion.settings import KafkaSettings
from tests.ingestion.land.test_metrics import free_port


class Committed(NamedTuple):
    topic: str
    partition: int
    offset: int
    error: KafkaError | None


class Admin:
    """Knows one partition, whose log ends at 9; does not say so where ``is_silent``."""

    is_silent = False

    def __init__(self, _: Any) -> None: ...

    def list_topics(self, topic: str, **_: Any) -> Any:
        described = SimpleNamespace(error=None, partitions={0: None})
        return SimpleNamespace(topics={topic: described})

    def list_offsets(self, asked: Any, **_: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        if not self.is_silent:
            answer.set_result(SimpleNamespace(offset=9))
        return dict.fromkeys(asked, answer)


class Consumer:
    """Has committed 4, or is refused."""

    error: KafkaError | None = None

    def __init__(self, _: Any) -> None: ...

    def committed(self, places: Any, **_: Any) -> list[Committed]:
        offset = -1001 if self.error else 4
        return [Committed(one.topic, one.partition, offset, self.error) for one in places]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Backlog:
    monkeypatch.setattr(backlog, "AdminClient", Admin)
    monkeypatch.setattr(backlog, "Consumer", Consumer)
    return Backlog(KafkaSettings.model_construct(port=1, security_protocol="PLAINTEXT"))


def test_an_answer_has_both_offsets_of_every_partition(scripted: Backlog) -> None:
    assert scripted.ask(["stock-quotes"]) == {Partition("stock-quotes", 0): Offsets(9, 4)}


def test_a_partition_refused_is_an_error_and_not_nothing_committed(
    scripted: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    monkeypatch.setattr(Consumer, "error", refused)
    with pytest.raises(BrokerError, match=r"committed offset of stock-quotes/0: .*authorization"):
        scripted.ask(["stock-quotes"])


def test_ends_that_never_come_are_an_error(
    scripted: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "TIMEOUT_S", -0.9)  # and a second more
    monkeypatch.setattr(Admin, "is_silent", True)
    with pytest.raises(BrokerError, match="Kafka: no answer"):
        scripted.ask(["stock-quotes"])


def test_a_broker_that_is_away_is_an_error_that_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "TIMEOUT_S", 0.5)
    settings = KafkaSettings.model_construct(port=free_port(), security_protocol="PLAINTEXT")
    one = Backlog(settings)
    with pytest.raises(BrokerError, match="Connection refused"):
        one.ask(["stock-quotes"])
    one.close()


def test_more_committed_than_the_log_holds_is_no_lag() -> None:
    assert Offsets(end=5, committed=9).lag == 0
