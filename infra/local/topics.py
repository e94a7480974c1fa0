"""Create the declared topics, and refuse to run on ones that are otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import (
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from infra.local.propagation import wait_until
from ingestion.errors import StackError

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Topic:
    """One topic as declared."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


def parse(declaration: Mapping[str, Any]) -> list[Topic]:
    """Return the topics of ``topics.yml`` with the defaults filled in."""
    defaults = declaration["defaults"]
    return [
        Topic(
            name=name,
            partitions=own["partitions"],
            replication_factor=own.get("replication_factor", defaults["replication_factor"]),
            config={**defaults["config"], **own.get("config", {})},
        )
        for name, own in declaration["topics"].items()
    ]


def ensure(client: AdminClient, declaration: Mapping[str, Any]) -> list[str]:
    """Create the topics that do not exist; return their names.

    Raises:
        StackError: one exists with other values than declared.
        BrokerError: the broker does not show the new ones in time.
    """
    wanted = parse(declaration)
    found = client.list_topics(timeout=TIMEOUT_S).topics
    _refuse_difference(client, [topic for topic in wanted if topic.name in found], found)
    missing = [topic for topic in wanted if topic.name not in found]
    if missing:
        _create(client, missing)
    return [f"topic {topic.name}" for topic in missing]


def _create(client: AdminClient, topics: list[Topic]) -> None:
    requests = [
        NewTopic(t.name, t.partitions, t.replication_factor, config=dict(t.config)) for t in topics
    ]
    for future in client.create_topics(requests, request_timeout=TIMEOUT_S).values():
        future.result(TIMEOUT_S)
    wait_until(lambda: _without_leader(client, topics), "topics")


def _without_leader(client: AdminClient, topics: list[Topic]) -> list[str]:
    shown = client.list_topics(timeout=TIMEOUT_S).topics
    return [t.name for t in topics if t.name not in shown or not _is_led(shown[t.name], t)]


def _is_led(shown: TopicMetadata, topic: Topic) -> bool:
    led = [one for one in shown.partitions.values() if one.leader >= 0]
    return len(led) == topic.partitions


def _refuse_difference(client: AdminClient, topics: list[Topic], found: Mapping[str, Any]) -> None:
    if not topics:
        return
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    described = client.describe_configs(resources, request_timeout=TIMEOUT_S)
    configs = {resource.name: future.result(TIMEOUT_S) for resource, future in described.items()}
    for topic in topics:
        actual = {"partitions": len(found[topic.name].partitions)}
        actual |= {key: configs[topic.name][key].value for key in topic.config}
        _compare(topic, actual)


def _compare(topic: Topic, actual: Mapping[str, Any]) -> None:
    for key, value in {"partitions": topic.partitions, **topic.config}.items():
        if str(actual[key]) != str(value):
            raise StackError(
                f"topic {topic.name}: infra/kafka/topics.yml declares {key}={value}, "
                f"Kafka has {key}={actual[key]}; change one of them"
            )
