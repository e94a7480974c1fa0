"""The producers' write-ahead ledgers: what was meant to be written, and what became of it."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from audit.errors import UnreadableError
from audit.model import EXAMPLES, Check, Hashes, Offsets, Status, bad

FORMAT = 1
_BLOCK = 4 << 20  # some 25,000 lines decoded at once
_SHOWN = 60

T = TypeVar("T", bound=np.generic)
Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Open(Struct, tag_field="op", tag="open"):
    """First line of a run's file."""

    version: int
    run_id: str


class Intend(Struct, tag_field="op", tag="intend"):
    """Written before the record was handed to the client."""

    id: str
    topic: str
    sha256: str


class Acked(Struct, tag_field="op", tag="acked"):
    """Kafka confirmed the record."""

    id: str
    topic: str
    partition: Natural
    offset: Natural


class Failed(Struct, tag_field="op", tag="failed"):
    """The record was certainly not written."""

    id: str


class Unknown(Struct, tag_field="op", tag="unknown"):
    """The record may have been written."""

    id: str


Line = Open | Intend | Acked | Failed | Unknown
_decoder: "msgspec.json.Decoder[Line]" = msgspec.json.Decoder(Line)


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


class Stream(Protocol):
    """What a ledger file is read from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, /) -> int: ...


Opened = Callable[[Path], AbstractContextManager[Stream]]


def _plain(path: Path) -> AbstractContextManager[Stream]:
    return path.open("rb")


class Ledger:
    """A folder of ledger files, one a run, which may still be growing."""

    def __init__(self, folder: Path, opened: Opened = _plain) -> None:
        self._folder = folder
        self._opened = opened
        self._seen: dict[Path, tuple[int, int]] = {}  # bytes and lines taken in
        self.book = Book()

    def files(self) -> list[Path]:
        """Return the runs' files, by name."""
        return sorted(self._folder.glob("*.jsonl"))

    def read(self) -> Book:
        """Take in what has been written since the last time, and return everything.

        A last line without its end is left for the next time: a process was killed, or writes.

        Raises:
            UnreadableError: the folder is not there, or a line is none of a ledger's.
        """
        if not self._folder.is_dir():
            raise UnreadableError(f"the ledger {self._folder} cannot be read: no such folder")
        for path in self.files():
            self._take(path)
        return self.book

    def find(self, wanted: Iterable[int]) -> dict[int, str]:
        """Return the ids that 64 bits stand for; the files are read once more for it."""
        missing = set(wanted)
        found: dict[int, str] = {}
        for path in self.files() if missing else ():
            for _, block in self._blocks(path, 0):
                lines = _decoder.decode_lines(block)
                texts = {line.id for line in lines if not isinstance(line, Open)}
                known = ((identity(text), text) for text in texts)
                found |= {number: text for number, text in known if number in missing}
        return found

    def _take(self, path: Path) -> None:
        for at, block in self._blocks(path, self._seen.get(path, (0, 0))[0]):
            first = self._seen.get(path, (0, 0))[1]
            lines = _decode(path, first, block)
            self.book.add(lines)
            self._seen[path] = (at, first + len(lines))

    def _blocks(self, path: Path, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines in pieces, with where each piece ends."""
        try:
            with self._opened(path) as file:
                file.seek(start)
                rest = b""
                while block := file.read(_BLOCK):
                    whole, end, rest = (rest + block).rpartition(b"\n")
                    start += len(whole) + len(end)
                    if end:
                        yield start, whole + end
        except OSError as error:
            raise UnreadableError(f"the ledger {path} cannot be read: {error}") from error


class Names:
    """The ids behind their hashes, for the few that are shown."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def of(self, ids: Hashes) -> list[str]:
        """Return the ids as their producers wrote them."""
        found = self._ledger.find(ids.tolist())
        return [found.get(number, f"{number:016x}") for number in ids.tolist()]

    def wrong(
        self, name: str, invariant: str, ids: Hashes, text: str, status: Status = "violated"
    ) -> Check:
        """Return a check that does not hold; ``text`` takes the first id."""
        shown = self.of(ids[:EXAMPLES])
        sentence = text.format(shown[0])
        return bad(name, invariant, sentence, shown, status=status, differences=len(ids))


def _decode(path: Path, before: int, block: bytes) -> Sequence[Line]:
    """Return the lines of a block, of which ``before`` came earlier in the file.

    Raises:
        UnreadableError: one is none of a ledger's; the text has its number.
    """
    try:
        lines = _decoder.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = []
    if len(lines) != block.count(b"\n") or not _is_sound(lines, is_start=before == 0):
        lines = [
            _checked(path, before + number, text)
            for number, text in enumerate(block[:-1].split(b"\n"), start=1)
        ]
    return lines


def _is_sound(lines: Sequence[Line], is_start: bool) -> bool:
    opened = [line for line in lines if type(line) is Open]
    sums = (line.sha256 for line in lines if type(line) is Intend)
    return (
        len(opened) == is_start
        and all(line is lines[0] and line.version == FORMAT for line in opened)
        and all(_is_sha256(text) for text in sums)
    )


def _checked(path: Path, number: int, text: bytes) -> Line:
    """Return one line, or say what is wrong with it."""
    shown = repr(text[:_SHOWN])
    try:
        line = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _malformed(path, number, f"a ledger line, found {shown}: {error}") from error
    if (type(line) is Open) != (number == 1):
        expected = '{"op":"open",…}' if number == 1 else "no second open"
        raise _malformed(path, number, f"{expected}, found {shown}")
    if type(line) is Open and line.version != FORMAT:
        raise _malformed(path, number, f"version {FORMAT}, found {line.version}")
    if type(line) is Intend and not _is_sha256(line.sha256):
        raise _malformed(path, number, f"64 hex digits in sha256, found {line.sha256[:_SHOWN]!r}")
    return line


def _malformed(path: Path, number: int, text: str) -> UnreadableError:
    return UnreadableError(f"{path}, line {number}: expected {text}")


def _is_sha256(text: str) -> bool:
    try:
        return len(text) == 64 and len(bytes.fromhex(text)) == 32
    except ValueError:
        return False


def _columns(kinds: str) -> tuple["array[int]", ...]:
    return tuple(array(kind) for kind in kinds)


def _view(column: "array[int]", kind: type[T]) -> NDArray[T]:
    """Return a column's values; a copy, for an array that is looked at cannot grow."""
    return np.array(column, dtype=kind)
