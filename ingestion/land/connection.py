"""How a lander connects to Kafka, and what its clients say where that fails."""

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import BrokerError
from ingestion.settings import KafkaSettings

_LOG_ERRORS_EVERY_S: Final = 10.0  # the client reports each of its attempts to reconnect


class Connection:
    """What all clients of one lander share, whatever thread they are used from."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        """Take the settings; nothing is connected yet.

        Raises:
            SettingsError: the lander's password is not set.
        """
        self._log = logs.get("land.connection")
        self._clock = clock
        self._logged: float | None = None
        self.group = settings.landers_group
        self.client: dict[str, Any] = {
            **settings.client("lander"),
            "log_level": 2,
            "error_cb": self._error,
        }
        self.last_error = ""
        """What a client last said of a connection."""
        self.has_joined = False
        """Set by the member; before that, an error is the caller's to tell and is not logged."""

    def ask(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        """Return what a client answers.

        Raises:
            BrokerError: Kafka refuses or does not answer, or the client can not go on.
        """
        try:
            return question()
        except KafkaException as error:
            reason = error.args[0].str()
        except (TimeoutError, RuntimeError) as error:  # RuntimeError: the consumer is closed
            reason = str(error) or "no answer"
        seen = f" ({self.last_error})" if self.last_error else ""
        raise BrokerError(f"Kafka: {reason}{seen}")

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # always follows the one that says why
            self.last_error = error.str()
        now = self._clock.monotonic()
        if self.has_joined and (self._logged is None or now - self._logged >= _LOG_ERRORS_EVERY_S):
            self._logged = now
            self._log.warning("kafka_connection", error=error.str())
