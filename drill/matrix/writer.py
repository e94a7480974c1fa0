"""A few records without a ledger, for rows that lose some on purpose."""

import uuid
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

from drill.matrix.errors import UnprovenError
from ingestion.settings import KafkaSettings

_TIMEOUT_S: Final = 30.0


def write(topic: str, count: int, acks: str = "1") -> None:
    """Write ``count`` records, confirmed by the leader alone or by ``all`` in sync.

    Raises:
        UnprovenError: one was not confirmed.
    """
    errors: list[KafkaError] = []

    def note(error: KafkaError | None, _: Any) -> None:  # noqa: ANN401 - the client's message
        errors.extend([error] if error else [])

    producer = Producer({**KafkaSettings.load().client("producer"), "acks": acks, "log_level": 0})
    for _ in range(count):
        producer.produce(topic, f'{{"drill":"{uuid.uuid4()}"}}', on_delivery=note)
    left = producer.flush(_TIMEOUT_S)
    if left or errors:
        raise UnprovenError(f"{topic}: {left + len(errors)} of {count} records not confirmed")
