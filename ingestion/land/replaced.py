"""Clients of Kafka that are asked things, as long as they answer."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from confluent_kafka import KafkaException

_Client = TypeVar("_Client")


class Replaced(Generic[_Client]):
    """A client for questions; one that got no answer is replaced.

    For minutes a client goes on asking the broker that it once took for the controller or a
    partition's leader, whether that one is dead or stands still; a new one looks again.
    """

    def __init__(self, make: Callable[[], _Client]) -> None:
        self._make = make
        self.client = make()

    def ask(self, question: Callable[[_Client], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        """Return the client's answer.

        Raises:
            KafkaException: Kafka refuses or does not answer; the client is another one now.
            TimeoutError: likewise.
        """
        client = self.client
        try:
            return question(client)
        except (KafkaException, TimeoutError) as error:
            if self.client is client:  # several threads ask
                self.client = self._make()
            # A future keeps its error, whose traceback keeps the future and the client: threads and
            # descriptors would stay until the collector comes, which in a lander is rarely.
            raise error.with_traceback(None) from None
