"""A topic that Kafka does not show the auditor leaves everything about it unjudged, never ok."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from audit.kafka import Kafka
from audit.model import Verdict
from audit.report import render
from audit.watch import Options, Sampler
from tests.audit.test_command import audit
from tests.audit.world import BATCH, World

pytestmark = pytest.mark.integration


@contextmanager
def hidden(world: World, topic: str) -> Iterator[None]:
    """Refuse the auditor the topic: its metadata then is as if the topic were not there."""
    place = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL)
    denial = (*place, "User:auditor", "*", AclOperation.ALL, AclPermissionType.DENY)
    admin = AdminClient(world.kafka("admin"))
    for answer in admin.create_acls([AclBinding(*denial)]).values():
        answer.result()
    try:
        wait_until_shown(world, topic, is_shown=False)
        yield
    finally:
        for answer in admin.delete_acls([AclBindingFilter(*denial)]).values():
            answer.result()
        wait_until_shown(world, topic, is_shown=True)


def wait_until_shown(world: World, topic: str, is_shown: bool) -> None:
    kafka = Kafka(world.settings.kafka())
    deadline = time.monotonic() + 30
    while bool(kafka.partitions([topic])) is not is_shown:
        assert time.monotonic() < deadline, f"{topic}: the refusal has not come to the broker"
        time.sleep(0.05)
    kafka.close()


@contextmanager
def ahead(world: World) -> Iterator[None]:
    """Have a commit beyond bronze that the auditor cannot see."""
    world.commit(BATCH, 1, 7)
    yield
    world.commit(BATCH, 1, 4)


def unknown(verdict: Verdict, name: str) -> list[str]:
    return [one.detail for one in verdict.checks if (one.name, one.status) == (name, "unknown")]


def test_a_topic_that_kafka_does_not_show_is_unknown_whatever_bronze_holds(world: World) -> None:
    with hidden(world, BATCH), ahead(world):
        verdict = world.audit(stages=("ledger", "kafka", "bronze"))
        found = audit(world.env_file, "--stage", "kafka")
    assert verdict.verdict == "unknown", render(verdict)
    (named,) = unknown(verdict, "kafka.topics")
    assert named.startswith(f"Kafka shows no topic {BATCH}: ")
    first, second = unknown(verdict, "ledger.acked")
    assert first.startswith(f"{BATCH}/0: offsets 0, 1, 2, 3, 4 and 5 more acked, of a topic that")
    assert second.startswith(f"{BATCH}/1: offsets 0, ")
    assert found.returncode == 2
    assert f"unknown   kafka.topics: Kafka shows no topic {BATCH}" in found.stdout


def test_a_watch_that_is_never_shown_a_topic_is_unknown(world: World) -> None:
    with hidden(world, BATCH):
        sampler = Sampler(world.settings, Options("landers", every_s=0.05), lambda _: None)
        sampler.sample()
        sampler.closing()
        sampler.close()
    assert f"I4: Kafka showed no topic {BATCH}, nor then its commits" in sampler.watch.lacks()
    assert sampler.watch.verdict == "unknown"
