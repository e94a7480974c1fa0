"""Our side of librdkafka: one producer at a time, and what it says of the broker."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingestion.clock import Clock
from ingestion.errors import BrokerAwayError, BrokerError
from ingestion.produce.outcome import is_fatal
from ingestion.produce.outgoing import Outgoing

Answer = Callable[[KafkaError | None, Message], None]

_PROBE_S = 1.0
_PURGE_S = 5.0
# For records that go one at a time: nothing to wait for, and nothing behind a refused one that
# could overtake it, so that the client lives on.
_CAREFUL: Mapping[str, Any] = {"linger.ms": 0, "enable.gapless.guarantee": False}
_REFUSALS = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)


class Client:
    """The idempotent producer in use; ``renew`` puts a new one in its place.

    A careful one is for records that are handed over one at a time, each when the last is answered.
    """

    def __init__(self, config: Mapping[str, Any], log: logging.Logger) -> None:
        self._servers = str(config["bootstrap.servers"])
        self._user = config.get("sasl.username")
        self._last_error: KafkaError | None = None
        self._refusal: KafkaError | None = None
        self._config = {**config, "error_cb": self._on_error}
        # librdkafka writes to standard error by itself unless it is given a logger.
        self._log = log
        self.is_careful = False
        self._producer = Producer(self._config, logger=log)

    def hand_over(self, record: Outgoing, answer: Answer) -> bool:
        """Give a record to the client; False while its queue is full.

        Raises:
            KafkaException: the client refuses the record, or every record.
        """
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=record.headers,
                on_delivery=answer,
            )
        except BufferError:
            return False
        return True

    def poll(self, timeout_s: float) -> bool:
        """Wait for answers at most ``timeout_s`` and call back for those that are there.

        Returns:
            Whether the client is fit for more: after a fatal error only ``renew`` helps.
        """
        return self._is_served(self._producer.poll, timeout_s)

    def renew(self, careful: bool = False) -> None:
        """Answer all that is open with what is known, then go on as another idempotent producer."""
        self._producer.purge()
        # Telling a fatal error ends a call early: then the answers are still to be fetched.
        self._is_served(self._producer.flush, _PURGE_S)
        self._is_served(self._producer.flush, _PURGE_S)
        self.is_careful = careful
        config = {**self._config, **_CAREFUL} if careful else self._config
        self._producer = Producer(config, logger=self._log)

    def _is_served(self, fetch: Callable[[float], int], timeout_s: float) -> bool:
        try:
            fetch(timeout_s)
        except (KafkaException, SystemError) as error:
            fatal = _fatal_cause(error)
            if fatal is None:
                raise
            self._last_error = fatal
            return False
        return True

    def check(self, topics: Iterable[str], timeout_s: float, clock: Clock) -> None:
        """Make sure that Kafka answers, takes the user, and has the topics.

        Raises:
            BrokerAwayError: Kafka does not answer.
            BrokerError: it refuses the user, or lacks a topic; the text says which.
        """
        found = self._visible_topics(clock, timeout_s)
        missing = sorted(set(topics) - found)
        if missing:
            raise BrokerError(
                f"Kafka at {self._servers} shows no topic {', '.join(missing)} to user "
                f"{self._user}: create the topics (`make up`) or grant DESCRIBE"
            )

    def complaint(self) -> str:
        """Return what the client said last of its brokers, empty when it said nothing."""
        return self._last_error.str() if self._last_error else ""

    def _visible_topics(self, clock: Clock, timeout_s: float) -> set[str]:
        deadline = clock.monotonic() + timeout_s
        while True:
            try:
                return set(self._producer.list_topics(timeout=_PROBE_S).topics)
            except KafkaException as error:
                self._producer.poll(0)
                self._raise_refusal()
                if clock.monotonic() >= deadline:
                    raise BrokerAwayError(self._unreachable(timeout_s, error)) from error

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

    def _on_error(self, error: KafkaError) -> None:
        # That no broker is left says less than why the last one went.
        if error.code() != KafkaError._ALL_BROKERS_DOWN or self._last_error is None:
            self._last_error = error
        if error.code() in _REFUSALS:
            self._refusal = error


def _fatal_cause(error: BaseException) -> KafkaError | None:
    """Return the fatal error of a client that could not be polled, None where it is another one.

    The client raises it whatever ``error_cb`` is; a callback that comes after it in the same call
    then runs with an exception set, which Python tells as a SystemError with that cause.
    """
    cause = error if isinstance(error, KafkaException) else error.__cause__
    if not isinstance(cause, KafkaException):
        return None
    found: KafkaError = cause.args[0]
    return found if is_fatal(found) else None
