"""Which setting to look at when a storage refuses the auditor or does not answer."""

from confluent_kafka import KafkaError

_KAFKA = {
    KafkaError._AUTHENTICATION: "KAFKA_AUDITOR_USERNAME, KAFKA_AUDITOR_PASSWORD",
    KafkaError._TRANSPORT: "KAFKA_BOOTSTRAP_SERVERS or KAFKA_PORT",
    KafkaError._RESOLVE: "KAFKA_BOOTSTRAP_SERVERS",
}
_KEYS = "STORE_AUDITOR_ACCESS_KEY, STORE_AUDITOR_SECRET_KEY"
_STORE = {
    "InvalidAccessKeyId": "STORE_AUDITOR_ACCESS_KEY",
    "SignatureDoesNotMatch": "STORE_AUDITOR_SECRET_KEY",
    "NoSuchBucket": "STORE_BRONZE_BUCKET",
    "AccessDenied": f"{_KEYS}, STORE_BRONZE_BUCKET",
    "ACCESS_DENIED": _KEYS,  # how Arrow, which reads the lake's files, says it
    "endpoint URL": "STORE_ENDPOINT or STORE_PORT",
    "NETWORK_CONNECTION": "STORE_ENDPOINT or STORE_PORT",
}


def kafka(code: int) -> str:
    """Return ``; check <settings>`` for a client's error code; nothing where none is at fault."""
    return _check(_KAFKA.get(code))


def store(text: str) -> str:
    """Return ``; check <settings>`` for a store's error; nothing where none is at fault."""
    return _check(next((names for word, names in _STORE.items() if word in text), None))


def _check(names: str | None) -> str:
    return f"; check {names}" if names else ""
