"""What the lines of the ledgers say together, as columns; ids and values by their hashes."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.entries import Acked, Failed, Intend, Line, Unknown
from audit.model import Hashes, Offsets

T = TypeVar("T", bound=np.generic)


def identity(text: str) -> int:
    """Return the 64 bits that stand for an id."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def identities(texts: Iterable[str]) -> Hashes:
    """Return the 64 bits of each id."""
    return np.fromiter((identity(text) for text in texts), np.uint64)


def value_hash(value: bytes | None) -> int:
    """Return the first 64 bits of a value's sha256; no value is hashed as an empty one."""
    return int.from_bytes(hashlib.sha256(value or b"").digest()[:8], "big")


@dataclass
class Book:
    """All lines together, as columns; topics are numbers into ``topics``."""

    topics: list[str] = field(default_factory=list)
    _intended: tuple["array[int]", ...] = field(default_factory=lambda: _columns("QQH"))
    _acked: tuple["array[int]", ...] = field(default_factory=lambda: _columns("QHiq"))
    _failed: "array[int]" = field(default_factory=lambda: array("Q"))
    _unknown: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, lines: Sequence[Line]) -> None:
        """Take lines in."""
        meant = [line for line in lines if type(line) is Intend]
        acked = [line for line in lines if type(line) is Acked]
        self._intended[0].extend(identity(line.id) for line in meant)
        self._intended[1].extend(int(line.sha256[:16], 16) for line in meant)
        self._intended[2].extend(self.number(line.topic) for line in meant)
        self._acked[0].extend(identity(line.id) for line in acked)
        self._acked[1].extend(self.number(line.topic) for line in acked)
        self._acked[2].extend(line.partition for line in acked)
        self._acked[3].extend(line.offset for line in acked)
        self._failed.extend(identity(line.id) for line in lines if type(line) is Failed)
        self._unknown.extend(identity(line.id) for line in lines if type(line) is Unknown)

    def number(self, topic: str) -> int:
        """Return the number that stands for a topic."""
        if topic not in self.topics:
            self.topics.append(topic)
        return self.topics.index(topic)

    @property
    def intended(self) -> "Intents":
        """Return the intents, in the order of the files."""
        ids, values, topics = self._intended
        return Intents(_view(ids, np.uint64), _view(values, np.uint64), _view(topics, np.uint16))

    @property
    def acked(self) -> "Acks":
        """Return the confirmations, in the order of the files."""
        ids, topics, partitions, offsets = self._acked
        return Acks(
            _view(ids, np.uint64),
            _view(topics, np.uint16),
            _view(partitions, np.int32),
            _view(offsets, np.int64),
        )

    @property
    def failed(self) -> Hashes:
        """Return the ids of the attempts that certainly failed, once for each attempt."""
        return _view(self._failed, np.uint64)

    @property
    def unknown(self) -> Hashes:
        """Return the ids of the attempts whose outcome nobody knows."""
        return _view(self._unknown, np.uint64)


@dataclass(frozen=True)
class Intents:
    """What was meant to be written."""

    ids: Hashes
    values: Hashes
    topics: NDArray[np.uint16]

    def of(self, topic: int) -> "Intents":
        """Return one topic's."""
        here = self.topics == topic
        return Intents(self.ids[here], self.values[here], self.topics[here])


@dataclass(frozen=True)
class Acks:
    """What Kafka confirmed."""

    ids: Hashes
    topics: NDArray[np.uint16]
    partitions: NDArray[np.int32]
    offsets: Offsets

    def first(self, count: int) -> "Acks":
        """Return the earliest ones."""
        return self.where(slice(count))

    def of(self, topic: int, partition: int) -> "Acks":
        """Return one partition's."""
        return self.where((self.topics == topic) & (self.partitions == partition))

    def where(self, chosen: Any) -> "Acks":  # noqa: ANN401 - whatever indexes an array
        """Return those that an index or a mask chooses."""
        return Acks(
            self.ids[chosen], self.topics[chosen], self.partitions[chosen], self.offsets[chosen]
        )


def _columns(kinds: str) -> tuple["array[int]", ...]:
    return tuple(array(kind) for kind in kinds)


def _view(column: "array[int]", kind: type[T]) -> NDArray[T]:
    """Return a column's values; no copy, so the column cannot grow while they are in use."""
    return np.frombuffer(column, dtype=kind) if len(column) else np.empty(0, dtype=kind)
