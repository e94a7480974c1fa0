"""What is handed to Kafka: a message or a dead letter, with everything beside its value."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import overload

from msgspec import Struct

from ingestion.clock import Clock
from ingestion.contracts import envelope
from ingestion.contracts.records import Message
from ingestion.produce import dead_letters
from ingestion.sources.source import Refused


# Without the collector's attention: 100,000 of them are alive, and none is part of a cycle.
class Outgoing(Struct, frozen=True, gc=False):
    """One Kafka record before it is sent; only a message has an event_id."""

    topic: str
    key: bytes | None
    value: bytes
    headers: envelope.Headers
    refused: bool = False
    event_id: str | None = None

    @property
    def id(self) -> str:
        """What the record is known by wherever it is sent again; the value's hash without id."""
        return self.event_id or f"sha256:{sha256(self.value).hexdigest()}"


def of_message(message: Message, body: bytes | None = None) -> Outgoing:
    """Return the record of a message; ``body`` is its encoding where one was received."""
    return Outgoing(
        envelope.topic_of(message),
        envelope.key_of(message),
        envelope.encode(message) if body is None else body,
        envelope.headers_of(message),
        event_id=message.event_id,
    )


def of_refused(refused: Refused, source: str, run_id: str, clock: Clock) -> Outgoing:
    """Return the dead letter of what was refused."""
    letter = dead_letters.letter(refused, refused.source or source, run_id, clock.now())
    return Outgoing(dead_letters.TOPIC, None, letter.value, [*letter.headers], refused=True)


@overload
def outgoing(
    messages: Iterable[Message | Refused], source: str, run_id: str, clock: Clock
) -> Iterator[Outgoing]: ...


@overload
def outgoing(
    messages: Iterable[Message | Refused | None], source: str, run_id: str, clock: Clock
) -> Iterator[Outgoing | None]: ...


def outgoing(
    messages: Iterable[Message | Refused | None], source: str, run_id: str, clock: Clock
) -> Iterator[Outgoing | None]:
    """Return one record for each thing that a source gave, and None where it was silent."""
    for made in messages:
        if made is None:
            yield None
        elif isinstance(made, Refused):
            yield of_refused(made, source, run_id, clock)
        else:
            yield of_message(made)
