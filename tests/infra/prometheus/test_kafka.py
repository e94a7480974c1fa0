"""Kafka's and bronze's sources: on librdkafka's own broker in this process, and a bucket in memory.

A real Kafka and store are scraped in `tests/pipeline/test_end_to_end.py`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra.prometheus.exporter import kafka
from infra.prometheus.exporter.bronze import Chains
from infra.prometheus.exporter.kafka import Cluster, Logs
from infra.prometheus.exporter.market import SessionClock
from infra.prometheus.exporter.newest import Freshness
from ingestion import calendar
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, QUOTES, TOPICS
from ingestion.errors import BrokerError
from ingestion.load.bronze import Bronze
from ingestion.load.model import LineFile, Listed
from ingestion.settings import KafkaSettings
from tests.infra.prometheus.test_market import At
from tests.infra.prometheus.test_sources import told

FRESHNESS = Freshness(
    At(datetime(2026, 11, 25, 15, tzinfo=UTC)), SessionClock(calendar.get("XNYS"))
)
AAPL = ("quotes", "false", "finnhub", "kafka", "AAPL")


def quote(moment: str, symbol: str = "AAPL", **changes: Any) -> bytes:
    message = {"schema": "quote.v1", "source": "finnhub", "simulated": False, "symbol": symbol}
    return json.dumps(message | {"event_time": f"2026-11-25T{moment}Z"} | changes).encode()


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Producer]:
    """A client whose broker lives and dies with it; the settings in force lead there."""
    made = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "made by the client"})
    [broker] = made.list_topics(timeout=30).brokers.values()
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"{broker.host}:{broker.port}")
    for topic in TOPICS:
        made.list_topics(topic, timeout=30)  # the broker makes what is asked for
    yield made
    made.flush(30)


def send(producer: Producer, topic: str, *values: bytes, **more: Any) -> None:
    for value in values:
        producer.produce(topic, value, partition=0, **more)
    assert producer.flush(30) == 0


class WithoutAdmin(Cluster):
    """Asks for the bounds as a consumer: librdkafka's broker knows no administration."""

    def bounds(self) -> dict[tuple[str, int], tuple[int, int]]:
        with closing(Consumer(self._config)) as consumer:
            return {
                (topic, 0): consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
                for topic in TOPICS
            }


def logs() -> Logs:
    return Logs(WithoutAdmin(KafkaSettings.load()), FRESHNESS)


def test_ends_and_the_newest_of_each_symbol_are_told_as_they_come(producer: Producer) -> None:
    send(producer, QUOTES, quote("14:40:00"), quote("14:31:00"), quote("14:32:00", "IBM"))
    send(producer, QUOTES, b"not json", b'{"symbol": 1}')
    source = logs()
    found = told(source)
    assert found["kafka_log_end_offset", "0", QUOTES] == 5
    assert found["kafka_log_start_offset", "0", QUOTES] == 0
    assert found["kafka_log_end_offset", "0", BATCH] == 0
    moment = datetime(2026, 11, 25, 14, 40, tzinfo=UTC).timestamp()
    assert found["newest_event_timestamp_seconds", *AAPL] == moment
    assert found["newest_event_trading_age_seconds", *AAPL] == 1200
    send(producer, QUOTES, quote("14:45:00", "IBM"))
    found = told(source)
    assert found["newest_event_timestamp_seconds", *AAPL] == moment
    assert found["newest_event_trading_age_seconds", *AAPL[:-1], "IBM"] == 900


def test_letters_are_counted_by_reason_once_and_notes_are_none(producer: Producer) -> None:
    source = logs()
    assert told(source)["dead_letters_total", "contract"] == 0
    for headers in (
        [("reason", b"contract")],
        [("reason", b"contract")],
        [("reason", b"of another hand")],
        [("redriven", b"x")],
        [],
    ):
        send(producer, DEAD_LETTERS, b"?", headers=headers)
    for _ in range(2):
        found = told(source)
        assert found["dead_letters_total", "contract"] == 2
        assert found["dead_letters_total", "other"] == 2
    # Another exporter counts the same from the beginning.
    assert told(logs())["dead_letters_total", "contract"] == 2


def test_of_a_long_log_only_the_end_is_read(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_TAIL", 2)
    send(producer, QUOTES, quote("14:59:00"), *[quote("14:30:00", "IBM")] * 2)
    found = told(logs())
    assert ("newest_event_timestamp_seconds", *AAPL) not in found
    assert ("newest_event_timestamp_seconds", *AAPL[:-1], "IBM") in found


def test_a_broker_that_is_away_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "ANSWER_S", 0.5)
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(BrokerError, match="Kafka: "):
        told(Logs(Cluster(KafkaSettings.load()), FRESHNESS))


class Bucket(Bronze):
    """Objects by key, each with its lines; what is read is noted."""

    def __init__(self) -> None:
        self.objects: dict[str, list[bytes]] = {}
        self.fetched: list[str] = []

    def put(self, start: int, *values: bytes, generation: str = "a" * 32) -> None:
        lines = [b'{"offset":%d,"value":%b}' % (start + n, v) for n, v in enumerate(values)]
        self.objects[f"{QUOTES}/g={generation}/p=00001/{start:020d}.jsonl.zst"] = lines

    def beyond(self, topic: str, last_keys: Mapping[str, str]) -> list[Listed]:
        keys = sorted(key for key in self.objects if key.startswith(f"{topic}/"))
        return [Listed(k, 1) for k in keys if k > last_keys.get(f"{k.rpartition('/')[0]}/", "")]

    def ends(self, listed: list[Listed]) -> dict[str, int]:
        return {
            f"{topic}/{generation[2:]}/{int(partition[2:])}": int(name[:20])
            + len(self.objects[one.file])
            for one in listed
            for topic, generation, partition, name in [one.file.split("/")]
        }

    def read(self, listed: list[Listed]) -> list[LineFile]:
        self.fetched += [one.file for one in listed]
        return [LineFile(one, QUOTES, "g", 1, self.objects[one.file]) for one in listed]


def test_the_chain_s_end_is_told_and_each_last_object_is_read_once() -> None:
    bucket = Bucket()
    source = Chains(bucket, lambda: {QUOTES: ("a" * 32, 2), BATCH: ("b" * 32, 1)}, FRESHNESS)
    found = told(source)
    assert found["bronze_end_offset", "a" * 32, "1", QUOTES] == 0
    bucket.put(0, quote("14:30:00"))
    bucket.put(1, quote("14:31:00"), b'"no message"')
    bucket.put(70, quote("14:59:00"), generation="c" * 32)  # of a topic that is no more
    for _ in range(2):
        found = told(source)
        assert found["bronze_end_offset", "a" * 32, "1", QUOTES] == 3
        assert found["bronze_end_offset", "a" * 32, "0", QUOTES] == 0
        assert found["bronze_end_offset", "b" * 32, "0", BATCH] == 0
    assert len(bucket.fetched) == 2
    bucket.put(3, quote("14:40:00"))
    found = told(source)
    assert found["bronze_end_offset", "a" * 32, "1", QUOTES] == 4
