"""What a provider is to the rest of the project: a name and a stream of messages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from ingestion.contracts.records import Message


@dataclass(frozen=True, slots=True)
class Refused:
    """What a provider gave that is no valid message; it becomes a dead letter.

    ``body`` is what was received, byte for byte; ``topic`` is where it was meant to go, empty when
    that cannot be told; ``reason`` is a machine word, ``detail`` says what was expected and found.
    ``source`` is who gave it, where the source as a whole has several providers behind it.
    ``context`` is what it takes to read the body again one day (see `parsers`): the letter's
    headers by name, such as the symbol asked for. Never a key or a token: a letter is kept.
    """

    body: bytes
    topic: str
    reason: str
    detail: str
    source: str | None = None
    context: tuple[tuple[str, str], ...] = ()


class LiveSource(Protocol):
    """A source that may be silent: it gives None where it has nothing just now."""

    @property
    def name(self) -> str:
        """The ``source`` of its messages, or what several of them are together."""
        ...

    def messages(self) -> Iterator[Message | Refused | None]:
        """Make the messages as they come; the source ends by itself once a stop is requested.

        Raises:
            TapehouseError: the source cannot go on, or has not given all that was asked for.
        """
        ...

    def facts(self) -> Mapping[str, object]:
        """Return what a summary should say of what was made so far."""
        ...


class Source(Protocol):
    """A provider. Its messages are made while they are read; it does no I/O but its file's."""

    @property
    def name(self) -> str:
        """The ``source`` of its messages."""
        ...

    def messages(self) -> Iterator[Message | Refused]:
        """Make the messages, in the order in which they are to be sent.

        Raises:
            SourceError: the source as a whole cannot be read.
        """
        ...

    def facts(self) -> Mapping[str, object]:
        """Return what a summary should say of what was made so far."""
        ...
