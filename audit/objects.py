"""One bronze object, read and checked against its own metadata and key."""

import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, cast

import msgspec
import numpy as np
import zstandard

from audit.chain import Link
from audit.content import line_digest, line_value, split_lines
from audit.ledger import value_hash
from audit.model import NO_VALUES, NOTHING, Offsets, Partition, Valued
from audit.offsets import runs
from audit.wanted import NOBODY, Wanted

SPOOL = 1 << 20  # decompressed bytes held at once, beside one unfinished line
LONGEST_LINE = 64 << 20  # far beyond what Kafka accepts as one record
_HASHES = np.empty(0, dtype=np.uint64)


class _Head(msgspec.Struct):
    offset: int
    timestamp: int


_heads = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class Bronze:
    """What one object holds: its interval, the runs of offsets found in it, what is wrong."""

    key: str
    partition: Partition
    start: int
    next: int | None
    kind: str
    sha256: str
    runs: list[tuple[int, int]]
    problems: list[str] = field(default_factory=list)
    hashes: np.ndarray = field(default_factory=lambda: _HASHES, compare=False)
    valued: Valued = field(default=NO_VALUES, compare=False)

    def link(self) -> Link:
        """Return the object's place in the chain."""
        return Link(self.key, self.start, self.next)


@dataclass
class _Body:
    """What reading the lines gathers, and how closely they are looked at."""

    partition: Partition
    deep: bool
    wanted: Wanted
    offsets: list[Offsets] = field(default_factory=list)
    hashes: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    valued: list[Offsets] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    problem: str | None = None

    def all(self) -> Offsets:
        return np.concatenate(self.offsets) if self.offsets else NOTHING

    def pairs(self) -> Valued:
        offsets = np.concatenate(self.valued) if self.valued else NOTHING
        # Where a line could not be read, its block has no values.
        return Valued(offsets[: len(self.values)], np.array(self.values, dtype=np.uint64))


def examine(
    key: str,
    partition: Partition,
    start: int,
    metadata: Mapping[str, str],
    chunks: Iterable[bytes],
    deep: bool = False,
    wanted: Wanted = NOBODY,
) -> Bronze:
    """Read an object's stored bytes once and judge them.

    Args:
        key: the object's key.
        partition: what the key names.
        start: the first offset, as the key names it.
        metadata: the object's user metadata.
        chunks: the stored bytes, in pieces of any size.
        deep: also hash every record's content.
        wanted: also hash the values of these records.
    """
    state, body = hashlib.sha256(), _Body(partition, deep, wanted)
    _read(_digested(chunks, state), body)
    end = _integer(metadata.get("next"))
    offsets = body.all()
    problems = [body.problem] if body.problem else []
    problems += _against_metadata(metadata, state.hexdigest(), body)
    problems += _against_interval(offsets, start, end)
    return Bronze(
        key,
        partition,
        start,
        end,
        metadata.get("kind", "?"),
        state.hexdigest(),
        runs(np.unique(offsets)),
        problems,
        np.array(body.hashes, dtype=np.uint64),
        body.pairs(),
    )


def _digested(chunks: Iterable[bytes], state: "hashlib._Hash") -> Iterable[bytes]:
    for chunk in chunks:
        state.update(chunk)
        yield chunk


def _read(chunks: Iterable[bytes], body: _Body) -> None:
    """Read all chunks (the digest needs them), lines as far as they can be read."""
    source = iter(chunks)
    try:
        rest = b""
        for block in inflate(source):
            whole, _, rest = (rest + block).rpartition(b"\n")
            if len(rest) > LONGEST_LINE:
                raise zstandard.ZstdError(f"a line is longer than {LONGEST_LINE} bytes")
            _lines(whole + b"\n" if whole else b"", body)
        if rest:
            body.problem = f"the last line is not ended: {rest[:60]!r}"
    except (zstandard.ZstdError, msgspec.MsgspecError, binascii.Error, RecursionError) as error:
        body.problem = f"the body cannot be read: {error}"
    for _ in source:
        pass


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress the frames in pieces; a bomb costs time, not memory."""
    reader = zstandard.ZstdDecompressor().stream_reader(
        cast("IO[bytes]", _File(chunks)), read_across_frames=True
    )
    while block := reader.read(SPOOL):
        yield block


class _File:
    """Chunks as the file-like object that the decompressor reads from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def _lines(block: bytes, body: _Body) -> None:
    if not block:
        return
    heads = _heads.decode_lines(block)
    if len(heads) != block.count(b"\n"):
        raise zstandard.ZstdError("empty lines between the records")
    body.offsets.append(np.fromiter((head.offset for head in heads), np.int64, len(heads)))
    stamps = [head.timestamp for head in heads]
    body.stamps = [min(body.stamps[:1] + stamps), max(body.stamps[1:] + stamps)]
    if body.deep:
        body.hashes.extend(line_digest(line)[1] for line in split_lines(block))
    chosen = np.flatnonzero(body.wanted.mask(body.partition, body.offsets[-1]))
    if len(chosen):
        lines = split_lines(block)
        body.valued.append(body.offsets[-1][chosen])
        body.values.extend(value_hash(line_value(lines[number])) for number in chosen.tolist())


def _against_metadata(metadata: Mapping[str, str], digest: str, body: _Body) -> list[str]:
    count = sum(len(part) for part in body.offsets)
    facts = {"sha256": digest, "count": str(count)}
    if body.stamps:
        facts |= {"min-timestamp": str(body.stamps[0]), "max-timestamp": str(body.stamps[1])}
    problems = [
        f"metadata says {name} {metadata.get(name, 'nothing')}, the body has {fact}"
        for name, fact in facts.items()
        if metadata.get(name) != fact
    ]
    if metadata.get("kind") not in ("data", "gap"):
        problems.append(f"expected kind data or gap, found {metadata.get('kind', 'nothing')}")
    if metadata.get("kind") == "gap" and count:
        problems.append(f"a gap object holds {count} records")
    return problems


def _against_interval(offsets: Offsets, start: int, end: int | None) -> list[str]:
    problems = []
    if end is None:
        problems.append("metadata has no number for next")
    if not len(offsets):
        return problems
    if (np.diff(offsets) <= 0).any():
        place = int(offsets[1:][np.diff(offsets) <= 0][0])
        problems.append(f"offsets do not increase at {place}")
    limit = offsets.max() + 1 if end is None else end
    outside = offsets[(offsets < start) | (offsets >= limit)]
    if len(outside):
        problems.append(f"offset {int(outside[0])} lies outside [{start}, {end})")
    return problems


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
