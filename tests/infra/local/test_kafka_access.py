"""What each Kafka user may and may not do, asked of the running broker."""

import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import files, topics
from ingestion.settings import KafkaRole
from tests.conftest import RunningStack

pytestmark = pytest.mark.integration

TOPICS = ("stock-market-batch", "stock-quotes", "stock-market-realtime", "stock-market-dlq")
DENIED = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}
COORDINATOR_STARTS = {
    KafkaError._WAIT_COORD,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}
TIMEOUT_S = 20.0


def connection(stack: RunningStack, role: KafkaRole, **extra: Any) -> dict[str, Any]:
    return {**stack.layout.kafka.client(role), "log_level": 0, **extra}


def consumer_config(stack: RunningStack, role: KafkaRole, group: str) -> dict[str, Any]:
    own = {"group.id": group, "enable.auto.commit": False}
    # For so long close() looks for a coordinator that the role may not even ask for.
    return connection(stack, role) | own | {"session.timeout.ms": 500}


def produce(stack: RunningStack, role: KafkaRole, topic: str, idempotent: bool = False) -> None:
    """Write one record, or raise what the broker answered."""
    answers: list[KafkaError | None] = []
    fatal: list[KafkaError] = []
    config = connection(stack, role, **{"message.timeout.ms": 8000, "error_cb": fatal.append})
    config |= {"enable.idempotence": idempotent, "topic.metadata.propagation.max.ms": 500}
    producer = Producer(config)
    producer.produce(topic, b"{}", on_delivery=lambda error, _message: answers.append(error))
    producer.flush(TIMEOUT_S)
    raise_first(answers + [error for error in fatal if error.fatal()])


def raise_first(errors: list[Any]) -> None:
    for error in errors:
        if error is not None:
            raise KafkaException(error)
    assert errors, "the broker did not answer"


def read(stack: RunningStack, role: KafkaRole, topic: str) -> None:
    """Fetch from the start of a partition, or raise what the broker answered about the topic."""
    config = consumer_config(stack, role, "unused") | {"enable.partition.eof": True}
    with closing(Consumer(config)) as consumer:
        consumer.assign([TopicPartition(topic, 0, 0)])
        code = KafkaError.GROUP_AUTHORIZATION_FAILED
        while code == KafkaError.GROUP_AUTHORIZATION_FAILED:  # no group is needed to fetch
            message = consumer.poll(TIMEOUT_S)
            assert message is not None, "the broker did not answer"
            error = message.error()
            code = error.code() if error else KafkaError.NO_ERROR
    if code not in (KafkaError.NO_ERROR, KafkaError._PARTITION_EOF):
        raise KafkaException(error)


def commit(stack: RunningStack, role: KafkaRole, group: str, topic: str = "stock-quotes") -> None:
    """Commit an offset for a group, or raise what the broker or its coordinator answered."""
    answers: list[KafkaError | None] = []
    config = consumer_config(stack, role, group)
    config["on_commit"] = lambda error, _partitions: answers.append(error)
    deadline = time.monotonic() + TIMEOUT_S
    with closing(Consumer(config)) as consumer:
        while not is_final(answers) and time.monotonic() < deadline:
            consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=True)
            wait_for_answer(consumer, answers)
        final = answers[-1:]  # closing answers what is still under way once more
    raise_first(final)


def is_final(answers: list[KafkaError | None]) -> bool:
    """Whether the last answer is one, not that a new broker's coordinator is not there yet."""
    return bool(answers) and (answers[-1] is None or answers[-1].code() not in COORDINATOR_STARTS)


def wait_for_answer(consumer: Consumer, answers: list[KafkaError | None]) -> None:
    seen, deadline = len(answers), time.monotonic() + TIMEOUT_S
    while len(answers) == seen and time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is not None:
            answers.append(message.error())


def refusal(action: Callable[[], object]) -> int:
    """Return the code with which Kafka refuses an action."""
    with pytest.raises(KafkaException) as raised:
        action()
    code: int = raised.value.args[0].code()
    return code


@pytest.mark.parametrize("topic", TOPICS)
def test_the_producer_writes_every_topic(stack: RunningStack, topic: str) -> None:
    produce(stack, "producer", topic)


def test_the_producer_may_be_idempotent(stack: RunningStack) -> None:
    produce(stack, "producer", "stock-quotes", idempotent=True)


def test_the_producer_cannot_read(stack: RunningStack) -> None:
    assert refusal(lambda: read(stack, "producer", "stock-quotes")) in DENIED


@pytest.mark.parametrize("role", ["lander", "auditor"])
@pytest.mark.parametrize("topic", TOPICS)
def test_readers_read_every_topic(stack: RunningStack, role: KafkaRole, topic: str) -> None:
    read(stack, role, topic)


@pytest.mark.parametrize(
    ("role", "topic"), [("redriver", "stock-market-dlq"), ("stream", "stock-market-realtime")]
)
def test_who_needs_one_topic_reads_that_alone(
    stack: RunningStack, role: KafkaRole, topic: str
) -> None:
    read(stack, role, topic)
    client = AdminClient(connection(stack, role))
    assert set(client.list_topics(timeout=TIMEOUT_S).topics) == {topic}
    asked = client.list_topics("stock-quotes", timeout=TIMEOUT_S).topics["stock-quotes"]
    assert asked.error is not None
    assert asked.error.code() in DENIED


@pytest.mark.parametrize("role", ["lander", "stream", "auditor", "redriver"])
def test_readers_cannot_write(stack: RunningStack, role: KafkaRole) -> None:
    assert refusal(lambda: produce(stack, role, "stock-quotes")) in DENIED


@pytest.mark.parametrize(
    ("role", "group"), [("lander", "landers"), ("stream", "spark-kafka-source-1234-driver-0")]
)
def test_groups_commit_under_their_own_name(
    stack: RunningStack, role: KafkaRole, group: str
) -> None:
    commit(stack, role, group, "stock-market-realtime")


@pytest.mark.parametrize(
    ("role", "group"),
    [
        ("lander", "spark-kafka-source-1"),
        ("lander", "landers-2"),
        ("stream", "landers"),
        ("auditor", "landers"),
        ("producer", "landers"),
        ("redriver", "redrive"),
    ],
)
def test_nobody_commits_for_another_group(stack: RunningStack, role: KafkaRole, group: str) -> None:
    assert refusal(lambda: commit(stack, role, group)) in DENIED


def test_the_auditor_sees_what_the_landers_committed(stack: RunningStack) -> None:
    commit(stack, "lander", "landers")
    config = consumer_config(stack, "auditor", "landers")
    with closing(Consumer(config)) as auditor:
        (place,) = auditor.committed([TopicPartition("stock-quotes", 0)], timeout=TIMEOUT_S)
    assert place.offset == 0


@pytest.mark.parametrize("role", ["producer", "lander", "stream", "auditor", "redriver"])
def test_no_role_creates_or_deletes_a_topic(stack: RunningStack, role: KafkaRole) -> None:
    client = AdminClient(connection(stack, role))
    created = client.create_topics([NewTopic("mine", 1, 1)])["mine"]
    assert refusal(lambda: created.result(TIMEOUT_S)) in DENIED
    deleted = client.delete_topics(["stock-quotes"])["stock-quotes"]
    assert refusal(lambda: deleted.result(TIMEOUT_S)) in DENIED


def test_a_topic_that_nobody_declared_is_not_created_by_writing(stack: RunningStack) -> None:
    code = refusal(lambda: produce(stack, "admin", f"surprise-{uuid.uuid4().hex}"))
    assert code in {KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART}


@pytest.mark.parametrize(
    "credentials",
    [
        {"sasl.password": "wrong"},
        {"sasl.username": "stranger"},
        {"security.protocol": "PLAINTEXT"},
        {"sasl.mechanism": "PLAIN"},
    ],
    ids=["wrong password", "unknown user", "anonymous", "plain password"],
)
def test_strangers_are_refused(stack: RunningStack, credentials: dict[str, str]) -> None:
    client = AdminClient(connection(stack, "lander") | credentials)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=3)


def test_the_controllers_port_takes_no_stranger(stack: RunningStack) -> None:
    server = f"127.0.0.1:{stack.layout.kafka.controller_port}"
    config = connection(stack, "lander") | {"bootstrap.servers": server}
    for protocol in ("SASL_PLAINTEXT", "PLAINTEXT"):
        with pytest.raises(KafkaException):
            AdminClient(config | {"security.protocol": protocol}).list_topics(timeout=3)


def test_topics_are_as_declared(stack: RunningStack) -> None:
    declared = topics.parse(files.declared("kafka/topics.yml", stack.layout))
    found = AdminClient(connection(stack, "auditor")).list_topics(timeout=TIMEOUT_S).topics
    assert {t.name: t.partitions for t in declared} == {
        name: len(topic.partitions) for name, topic in found.items() if name in TOPICS
    }
    assert sorted(t.name for t in declared) == sorted(TOPICS)
