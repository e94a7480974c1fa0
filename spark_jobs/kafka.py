"""Kafka's trades as a stream of records, read as the user ``stream``."""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec
from pyspark.sql import DataFrame, SparkSession

from ingestion.contracts.topics import REALTIME
from ingestion.errors import BrokerError, LakeError, SettingsError
from ingestion.settings import KafkaSettings
from spark_jobs.iceberg import java

_ANSWER_S: Final = 10.0
_MODULES: Final = {
    "SCRAM-SHA-512": "scram.ScramLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "PLAIN": "plain.PlainLoginModule",
}


def check(kafka: KafkaSettings) -> None:
    """Make sure that Kafka answers and lets the user see the topic, before Spark is started.

    Raises:
        BrokerError: it does not.
        SettingsError: the user's password is not set.
    """
    client = AdminClient({**kafka.client("stream"), "log_level": 0})
    try:
        topic = client.list_topics(REALTIME, timeout=_ANSWER_S).topics[REALTIME]
    except KafkaException as error:
        raise BrokerError(f"Kafka at {kafka.servers()}: {error.args[0].str()}") from error
    if topic.error is not None:
        raise BrokerError(f"Kafka at {kafka.servers()}: {REALTIME}: {topic.error.str()}")


def begin(spark: SparkSession, kafka: KafkaSettings, checkpoint: str) -> dict[int, int]:
    """Return the offsets by partition where a checkpoint began, or has to begin: Kafka's oldest.

    Raises:
        BrokerError: Kafka does not tell.
        LakeError: the checkpoint does not say where it began.
        SettingsError: the user's password is not set.
    """
    # Spark's Kafka source writes there what it began with, once: a zero byte, a version, JSON.
    path = java(spark).org.apache.hadoop.fs.Path(f"{checkpoint}/sources/0/0")
    if not path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).exists(path):
        return _oldest(kafka)
    text = "".join(row["value"] for row in spark.read.text(path.toString()).collect())
    try:
        begun = json.loads(text[text.index("{") :])[REALTIME]
        return {int(partition): int(offset) for partition, offset in begun.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise LakeError(f"expected Kafka's offsets in {path.toString()}, found {text!r}") from error


def _oldest(kafka: KafkaSettings) -> dict[int, int]:
    client = AdminClient({**kafka.client("stream"), "log_level": 0})
    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the client lacks types here
    try:
        partitions = client.list_topics(REALTIME, timeout=_ANSWER_S).topics[REALTIME].partitions
        wanted = {TopicPartition(REALTIME, number): earliest for number in partitions}
        told: Mapping[TopicPartition, Future[ListOffsetsResultInfo]] = client.list_offsets(
            wanted, request_timeout=_ANSWER_S
        )
        return {place.partition: found.result().offset for place, found in told.items()}
    except KafkaException as error:
        raise BrokerError(f"Kafka at {kafka.servers()}: {error.args[0].str()}") from error


def records(
    spark: SparkSession, kafka: KafkaSettings, max_records: int, begin: Mapping[int, int]
) -> DataFrame:
    """Return the topic from where a new checkpoint begins, or from where the checkpoint is.

    Args:
        spark: the session.
        kafka: how to connect.
        max_records: how many one batch may take.
        begin: what ``begin`` says.

    Raises:
        SettingsError: the user's password is not set, or its mechanism is none that we know.
    """
    reader = spark.readStream.format("kafka").options(**connection(kafka))
    offsets = json.dumps({REALTIME: {str(number): offset for number, offset in begin.items()}})
    return reader.options(
        subscribe=REALTIME, startingOffsets=offsets, maxOffsetsPerTrigger=str(max_records)
    ).load()


def connection(kafka: KafkaSettings) -> dict[str, str]:
    """Return the source's connection options, with the password.

    Raises:
        SettingsError: the user's password is not set, or its mechanism is none that we know.
    """
    client = kafka.client("stream")
    found = {
        "kafka.bootstrap.servers": client["bootstrap.servers"],
        "kafka.security.protocol": client["security.protocol"],
    }
    if "ssl.ca.location" in client:
        found |= {
            "kafka.ssl.truststore.type": "PEM",
            "kafka.ssl.truststore.location": client["ssl.ca.location"],
        }
    if "sasl.mechanism" not in client:
        return found
    return found | {
        "kafka.sasl.mechanism": client["sasl.mechanism"],
        "kafka.sasl.jaas.config": _login(client),
    }


def _login(client: dict[str, str]) -> str:
    mechanism = client["sasl.mechanism"]
    if mechanism not in _MODULES:
        expected = ", ".join(_MODULES)
        raise SettingsError(f"KAFKA_SASL_MECHANISM: expected {expected}, found {mechanism}")
    module = f"org.apache.kafka.common.security.{_MODULES[mechanism]}"
    user, password = (_quoted(client[f"sasl.{name}"]) for name in ("username", "password"))
    return f"{module} required username={user} password={password};"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
