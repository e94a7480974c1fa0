"""What is declared is in force on the broker when set-up says so, not only in the log."""

from collections import Counter
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AdminClient

from infra.local import acls, propagation, topics
from ingestion.errors import BrokerError
from ingestion.settings import KafkaSettings

ACLS = {
    "roles": {
        role: [{"resource": "topic", "names": [role], "operations": ["read", "describe"]}]
        for role in ("producer", "lander")
    }
}
TOPICS = {
    "defaults": {"replication_factor": 1, "config": {}},
    "topics": {"one": {"partitions": 2}, "two": {"partitions": 1}},
}


def done(value: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(value)
    return future


class Behind(AdminClient):
    """A broker that acts by a change only when it was asked ``late`` times after it."""

    def __init__(self, late: int) -> None:
        self.late = late
        self.written: set[AclBinding] = set()
        self.in_force: set[AclBinding] = set()
        self.topics: dict[str, int] = {}
        self.asked: Counter[str] = Counter()

    def _is_behind(self, what: str) -> bool:
        self.asked[what] += 1
        return self.asked[what] <= self.late

    def create_acls(self, bindings: Any, **_options: Any) -> Any:
        self.written |= set(bindings)
        self.asked.clear()
        return {binding: done(None) for binding in bindings}

    def describe_acls(self, wanted: Any, **_options: Any) -> Any:
        if not self._is_behind(wanted.principal):
            self.in_force = self.in_force | {
                one for one in self.written if one.principal == wanted.principal
            }
        return done([one for one in self.in_force if one.principal == wanted.principal])

    def create_topics(self, requests: Any, **_options: Any) -> Any:
        self.topics = {request.topic: request.num_partitions for request in requests}
        self.asked.clear()
        return {request.topic: done(None) for request in requests}

    def list_topics(self, **_options: Any) -> Any:
        leader = -1 if self._is_behind("topics") else 1
        partitions = {
            name: SimpleNamespace(partitions={n: SimpleNamespace(leader=leader) for n in range(p)})
            for name, p in self.topics.items()
        }
        return SimpleNamespace(topics=partitions)


def test_acls_are_in_force_when_they_are_made() -> None:
    broker = Behind(late=2)
    assert len(acls.ensure(broker, ACLS, KafkaSettings())) == 4
    assert broker.in_force == acls.parse(ACLS, KafkaSettings())
    assert acls.ensure(broker, ACLS, KafkaSettings()) == []


def test_topics_have_their_leaders_when_they_are_made() -> None:
    broker = Behind(late=2)
    assert topics.ensure(broker, TOPICS) == ["topic one", "topic two"]
    assert broker.asked["topics"] == 3


def test_a_broker_that_never_acts_by_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "TIMEOUT_S", 0.2)
    broker = Behind(late=1_000)
    with pytest.raises(BrokerError, match=r"took the ACLs .* 0\.2 s: 4 differ, among them User:"):
        acls.ensure(broker, ACLS, KafkaSettings())
    with pytest.raises(BrokerError, match=r"took the topics .* 2 differ, among them one"):
        topics.ensure(broker, TOPICS)
