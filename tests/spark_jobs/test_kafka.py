"""The connection of Spark's Kafka source, from the project's settings."""

import pytest
from pydantic import SecretStr

from ingestion.errors import BrokerError, SettingsError
from ingestion.settings import KafkaSettings
from spark_jobs import kafka


def test_scram_with_a_password_that_needs_escapes() -> None:
    settings = KafkaSettings(port=1234, stream_password=SecretStr('a"b\\c'))
    assert kafka.connection(settings) == {
        "kafka.bootstrap.servers": "127.0.0.1:1234",
        "kafka.security.protocol": "SASL_PLAINTEXT",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required "
            'username="stream" password="a\\"b\\\\c";'
        ),
    }


def test_a_broker_without_passwords_needs_none() -> None:
    found = kafka.connection(KafkaSettings(security_protocol="PLAINTEXT"))
    assert found.keys() == {"kafka.bootstrap.servers", "kafka.security.protocol"}


def test_tls_with_an_authority_of_our_own() -> None:
    settings = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        ssl_ca_location="/etc/ca.pem",
        stream_password=SecretStr("x"),
    )
    found = kafka.connection(settings)
    assert found["kafka.ssl.truststore.location"] == "/etc/ca.pem"
    assert found["kafka.sasl.jaas.config"].split()[0].endswith("plain.PlainLoginModule")


def test_a_mechanism_that_the_source_would_not_know_is_named() -> None:
    settings = KafkaSettings(sasl_mechanism="GSSAPI", stream_password=SecretStr("x"))
    with pytest.raises(SettingsError, match="KAFKA_SASL_MECHANISM: expected SCRAM-SHA-512"):
        kafka.connection(settings)


def test_a_missing_password_is_named() -> None:
    with pytest.raises(SettingsError, match="KAFKA_STREAM_PASSWORD is not set"):
        kafka.check(KafkaSettings())


def test_a_broker_that_is_away_is_told_before_spark_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka, "_ANSWER_S", 0.5)
    with pytest.raises(BrokerError, match=r"Kafka at 127\.0\.0\.1:1: "):
        kafka.check(KafkaSettings(port=1, stream_password=SecretStr("x")))
