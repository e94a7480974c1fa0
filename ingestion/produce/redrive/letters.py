"""A dead letter as it lies in Kafka or in bronze, and the note that it was re-driven."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from typing import Final

import msgspec

from ingestion.clock import rfc3339
from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.produce.outgoing import Outgoing

# A record of the dead letters with this header is no letter: it says that one was re-driven.
NOTE_HEADER: Final = "redriven"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_pack = msgspec.msgpack.Encoder().encode
_encode = msgspec.json.Encoder().encode


class State(StrEnum):
    """What can be done with a letter."""

    WAITING = "waiting"
    REDRIVEN = "redriven"
    CUT = "cut"


@dataclass(frozen=True)
class Letter:
    """One record of the dead letters; ``timestamp`` in milliseconds, ``place`` for people."""

    place: str
    timestamp: int
    body: bytes
    headers: tuple[tuple[str, bytes | None], ...]

    @cached_property
    def id(self) -> str:
        """SHA-256 (hex) of body and headers: the same in Kafka and in bronze.

        A letter that its producer sent twice is one letter. Two that are equal in all this (the
        time of the refusal, to the microsecond, included) give equal messages, so nothing is lost.
        """
        return sha256(_pack([self.body, self.headers])).hexdigest()

    @cached_property
    def fields(self) -> dict[str, str]:
        """The headers as text, the first of each name; bytes that are none are escaped."""
        return {
            name: (value or b"").decode(errors="backslashreplace")
            for name, value in reversed(self.headers)
        }

    @property
    def failed_at(self) -> datetime:
        """When it was refused; when Kafka got it, where the header tells no time."""
        try:
            told = datetime.fromisoformat(self.fields.get("failed_at", ""))
        except ValueError:
            told = _EPOCH + timedelta(milliseconds=self.timestamp)
        return told if told.tzinfo else told.replace(tzinfo=UTC)

    @property
    def is_cut(self) -> bool:
        """Whether only the start of the body was kept."""
        return "sha256" in self.fields and "size" in self.fields

    def is_named(self, name: str) -> bool:
        """Whether ``name`` is its place or the start of its id."""
        return name == self.place or self.id.startswith(name)

    @property
    def noted(self) -> str | None:
        """The id of the letter that was re-driven, where this is the note of that."""
        return self.fields.get(NOTE_HEADER)


def note(letter: Letter, event_ids: list[str], run_id: str, at: datetime) -> Outgoing:
    """Return the record that says that a letter was re-driven, as which events."""
    told = {
        "redriven": letter.id,
        "place": letter.place,
        "event_ids": event_ids,
        "run_id": run_id,
        "redriven_at": rfc3339(at),
    }
    headers = [(NOTE_HEADER, letter.id.encode()), ("run_id", run_id.encode())]
    return Outgoing(DEAD_LETTERS, None, _encode(told), [*headers])


@dataclass(frozen=True)
class Wanted:
    """Which letters; what is empty or None does not restrict.

    ``letters`` are places or starts of ids; the times are of the refusal, ``until`` is exclusive;
    ``text`` is looked for in the detail, whatever its case.
    """

    letters: tuple[str, ...] = ()
    reasons: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    run_ids: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    _named: dict[str, frozenset[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {
            "reason": self.reasons,
            "source": self.sources,
            "topic": self.topics,
            "run_id": self.run_ids,
        }
        wanted = {header: values for header, values in named.items() if values}
        object.__setattr__(self, "_named", wanted)

    @property
    def is_all(self) -> bool:
        """Whether nothing restricts."""
        return self == Wanted()

    def covers(self, letter: Letter) -> bool:
        """Tell whether a letter is wanted."""
        return (
            self._is_named(letter)
            and all(letter.fields.get(name, "") in values for name, values in self._named.items())
            and (self.since is None or letter.failed_at >= self.since)
            and (self.until is None or letter.failed_at < self.until)
            and self.text.casefold() in letter.fields.get("detail", "").casefold()
        )

    def _is_named(self, letter: Letter) -> bool:
        return not self.letters or any(letter.is_named(name) for name in self.letters)
