"""A broker without a broker: librdkafka's mock cluster, which can be told to fail."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from ingestion import cli
from ingestion.contracts.topics import TOPICS

_PARTITIONS = 4
_PRODUCE = 0  # the request's number in Kafka's protocol


def _librdkafka() -> Any:
    """The library that the Python client has in its wheel; the mock cluster is a part of it."""
    packages = Path(confluent_kafka.__file__).parents[1]
    (path,) = [
        *packages.glob("confluent_kafka.libs/librdkafka*.so*"),
        *packages.glob("confluent_kafka/.dylibs/librdkafka*.dylib"),
    ]
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class MockKafka:
    """One mock broker with our topics; ``stop`` takes it away for good."""

    def __init__(self) -> None:
        self._lib = _librdkafka()
        conf = ctypes.c_void_p(self._lib.rd_kafka_conf_new())
        self._host = ctypes.c_void_p(self._lib.rd_kafka_new(0, conf, None, ctypes.c_size_t(0)))
        self._cluster = ctypes.c_void_p(self._lib.rd_kafka_mock_cluster_new(self._host, 1))
        self.servers = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        self._is_stopped = False
        for topic in TOPICS:
            self._told("topic_create", topic.encode(), _PARTITIONS, 1)

    def stop(self) -> None:
        if not self._is_stopped:
            self._is_stopped = True
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._host)

    def down(self) -> None:
        """Close every connection and take no new one; what is in the log stays."""
        self._told("broker_set_down", 1)

    def up(self) -> None:
        self._told("broker_set_up", 1)

    def fail_next(self, *errors: int, request: int = _PRODUCE) -> None:
        """Answer the next requests of a kind, to write by default, with these errors alone."""
        codes = (ctypes.c_int * len(errors))(*errors)
        number = ctypes.c_size_t(len(errors))
        self._lib.rd_kafka_mock_push_request_errors_array(self._cluster, request, number, codes)

    def slow_down(self, milliseconds: int) -> None:
        """Let the broker think so long about every request."""
        self._told("broker_set_rtt", 1, milliseconds)

    def _told(self, what: str, *arguments: Any) -> None:
        assert getattr(self._lib, f"rd_kafka_mock_{what}")(self._cluster, *arguments) == 0

    def read(self, topic: str, count: int) -> list[Message]:
        """Return all records of a topic; fails unless there are exactly ``count``."""
        found = self.all(topic)
        assert len(found) == count
        return found

    def all(self, topic: str) -> list[Message]:
        """Return all records of a topic."""
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": "test"})
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            marks = {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
                for p in partitions
            }
            count = sum(high - low for low, high in marks.values())
            consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in marks.items()])
            found: list[Message] = []
            while len(found) < count:
                found.extend(consumer.consume(count, timeout=0.2))
            return found
        finally:
            consumer.close()


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    mock = MockKafka()
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


@dataclass
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def ingestion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command in this process: importing pandas for each call would take longest."""

    def run(name: str, *arguments: str, environment: dict[str, str] | None = None) -> Ended:
        for variable, value in (environment or {}).items():
            monkeypatch.setenv(variable, value)
        with pytest.raises(SystemExit) as ended:
            cli.run(name, arguments, "test")
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, *capsys.readouterr())

    return run
