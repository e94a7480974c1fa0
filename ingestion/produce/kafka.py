"""The idempotent producer: what is handed over is confirmed by Kafka, or the run fails."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingestion.clock import Clock
from ingestion.errors import BrokerError, DeliveryError
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outcome import is_refusal
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.summary import Summary
from ingestion.settings import KafkaSettings

Config = Mapping[str, str | int | float | bool]

# With idempotence librdkafka forces acks=all and endless retries inside message.timeout.ms, after
# which the outcome is unknown, not negative: the same command again sends the same event_ids.
DELIVERY_TIMEOUT_S = 300.0
_TUNING: Config = {
    "enable.idempotence": True,
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "batch.num.messages": 50_000,
    "compression.type": "lz4",
    # The Java clients' partitioner: a symbol keeps its partition whichever client sends it.
    "partitioner": "murmur2_random",
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 256 * 1024,
}
_FULL_WAIT_S = 0.05
_PROBE_S = 1.0
# Delivery reports are fetched every so many records: the call costs more than handing one over.
_POLL_EVERY = 500
_REFUSALS = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


def configuration(settings: KafkaSettings, delivery_timeout_s: float) -> dict[str, Any]:
    """Return librdkafka's settings of the producer.

    Raises:
        SettingsError: the producer's password is not set.
    """
    timeout = {"message.timeout.ms": int(delivery_timeout_s * 1000)}
    return {**settings.client("producer"), **_TUNING, **timeout}


class Deliverer:
    """Hands records to Kafka and counts its answers."""

    def __init__(
        self,
        config: Mapping[str, Any],
        clock: Clock,
        log: logging.Logger,
        give_up: Callable[[], bool] = lambda: False,
        ledger: Ledger | NoLedger = NoLedger(),  # noqa: B008 - it holds nothing
    ) -> None:
        self.summary = Summary()
        self._ledger = ledger
        self._waiting: list[Outgoing] = []
        self._clock = clock
        self._give_up = give_up
        self._servers = str(config["bootstrap.servers"])
        self._user = config.get("sasl.username")
        self._last_error: KafkaError | None = None
        self._refusal: KafkaError | None = None
        # librdkafka writes to standard error by itself unless it is given a logger.
        self._producer = Producer({**config, "error_cb": self._on_error}, logger=log)

    def check(self, topics: Iterable[str], timeout_s: float) -> None:
        """Make sure that Kafka answers, takes the user, and has the topics.

        Raises:
            BrokerError: one of these does not hold; the text says which.
        """
        found = self._visible_topics(self._clock.monotonic() + timeout_s, timeout_s)
        missing = sorted(set(topics) - found)
        if missing:
            raise BrokerError(
                f"Kafka at {self._servers} shows no topic {', '.join(missing)} to user "
                f"{self._user}: create the topics (`make up`) or grant DESCRIBE"
            )

    def send(self, record: Outgoing) -> bool:
        """Hand a record over, waiting while the queue is full; False when told to give up.

        With a ledger a record waits for a few others, at most until the next ``poll``.

        Raises:
            DeliveryError: the client can send nothing any more.
            LedgerError: the ledger cannot be written.
        """
        self._waiting.append(record)
        return len(self._waiting) < self._ledger.batch or self._send_waiting()

    def poll(self) -> None:
        """Hand over what waits and fetch the answers that have arrived."""
        self._send_waiting()
        self._fetch(0)

    def flush(self, timeout_s: float) -> int:
        """Wait at most ``timeout_s`` and return how many records are still without an answer."""
        self._send_waiting()
        left = int(self._producer.flush(timeout_s))
        self._ledger.flush()
        return left

    def raise_undelivered(self) -> None:
        """Fail when something that was sent is not confirmed.

        Raises:
            DeliveryError: with counts by topic and the first reasons.
        """
        if self.summary.undelivered:
            hint = f"; last broker error: {self._last_error.str()}" if self._last_error else ""
            raise DeliveryError(self.summary.explain() + hint)

    def _visible_topics(self, deadline: float, timeout_s: float) -> set[str]:
        while True:
            try:
                return set(self._producer.list_topics(timeout=_PROBE_S).topics)
            except KafkaException as error:
                self._producer.poll(0)
                self._raise_refusal()
                if self._clock.monotonic() >= deadline:
                    raise BrokerError(self._unreachable(timeout_s, error)) from error

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise BrokerError(
                f"Kafka at {self._servers} refuses user {self._user}: {self._refusal.str()}. "
                "Check KAFKA_PRODUCER_USERNAME and KAFKA_PRODUCER_PASSWORD"
            )

    def _unreachable(self, timeout_s: float, error: KafkaException) -> str:
        cause = self._last_error or error.args[0]
        return (
            f"Kafka at {self._servers} does not answer within {timeout_s:g} s: {cause.str()}. "
            "Is it running (`make status`)?"
        )

    def _send_waiting(self) -> bool:
        records, self._waiting = self._waiting, []
        if records:
            self._ledger.intend(records)
        for number, record in enumerate(records):
            if not self._send(record):
                self._never_sent(records[number:])
                return False
        return True

    def _send(self, record: Outgoing) -> bool:
        while not self._handed_over(record):
            if self._give_up():
                return False
            self.summary.queue_full_waits += 1
            self._fetch(_FULL_WAIT_S)
        self.summary.sent[record.topic] += 1
        self.summary.refused += record.refused
        if self.summary.sent.total() % _POLL_EVERY == 0:
            self._fetch(0)
        return True

    def _never_sent(self, records: Iterable[Outgoing]) -> None:
        for record in records:
            self._ledger.failed(record, "stopped before it was sent")

    def _fetch(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)
        self._ledger.flush()

    def _handed_over(self, record: Outgoing) -> bool:
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=record.headers,
                on_delivery=partial(self._on_delivery, record),
            )
        except BufferError:
            return False
        except KafkaException as error:
            self._fail(record, error.args[0])
            if not is_refusal(error.args[0]):
                raise DeliveryError(f"{record.topic}: {error.args[0].str()}") from error
        return True

    def _on_delivery(self, record: Outgoing, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(record, error)
            return
        self.summary.delivered[record.topic] += 1
        self._ledger.acked(record, int(message.partition() or 0), int(message.offset() or 0))

    def _fail(self, record: Outgoing, error: KafkaError) -> None:
        self.summary.fail(record.topic, error.str())
        note = self._ledger.failed if is_refusal(error) else self._ledger.unknown
        note(record, error.str())

    def _on_error(self, error: KafkaError) -> None:
        # That no broker is left says less than why the last one went.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self._last_error is None:
            self._last_error = error
        if error.code() in _REFUSALS:
            self._refusal = error
