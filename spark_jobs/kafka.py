"""Kafka's trades as a stream of records, read as the user ``stream``."""

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pyspark.sql import DataFrame, SparkSession

from ingestion.contracts.topics import REALTIME
from ingestion.errors import BrokerError, SettingsError
from ingestion.settings import KafkaSettings

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


def records(spark: SparkSession, kafka: KafkaSettings, max_records: int) -> DataFrame:
    """Return the topic from its beginning, or from where the checkpoint is.

    Args:
        spark: the session.
        kafka: how to connect.
        max_records: how many one batch may take.

    Raises:
        SettingsError: the user's password is not set, or its mechanism is none that we know.
    """
    reader = spark.readStream.format("kafka").options(**connection(kafka))
    return reader.options(
        subscribe=REALTIME, startingOffsets="earliest", maxOffsetsPerTrigger=str(max_records)
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
