"""A bronze object: its key, its metadata, its bytes.

Key: ``<topic>/g=<generation>/p=<partition>/<first offset>.jsonl.zst``. It holds neither the end
nor a clock nor anything random: two writers of one range must collide on one key.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import zstandard

from ingestion.errors import ChainError
from ingestion.land.lines import Chunk
from ingestion.land.protocol import Head, Kind, Partition

ZSTD_LEVEL: Final = 1  # 5.5x for 0.4 µs a record; gzip-1 takes three times as long for 4.3x
_KEY: Final = re.compile(
    r"(?P<topic>[^/]+)/g=(?P<generation>[0-9a-f]{32})/p=(?P<partition>\d{5})/(?P<start>\d{20})"
    r"\.jsonl\.zst"
)


def prefix(partition: Partition, generation: str) -> str:
    """Return what the keys of a partition's chain start with."""
    return f"{partition.topic}/g={generation}/p={partition.number:05d}/"


def key(partition: Partition, generation: str, start: int) -> str:
    """Return the key of the object whose first offset is ``start``."""
    return f"{prefix(partition, generation)}{start:020d}.jsonl.zst"


def parse_key(name: str) -> tuple[Partition, str, int]:
    """Return (partition, generation, first offset) of a key.

    Raises:
        ChainError: it is not the key of a bronze object.
    """
    match = _KEY.fullmatch(name)
    if match is None:
        raise ChainError(f"expected the key of a bronze object, found {name!r}")
    partition = Partition(match["topic"], int(match["partition"]))
    return partition, match["generation"], int(match["start"])


def build(start: int, next_: int, kind: Kind, chunks: Sequence[Chunk]) -> tuple[bytes, Head]:
    """Compress the chunks' lines; return the bytes to store and their metadata."""
    body = _compress(chunks)
    return body, Head(
        start=start,
        next=next_,
        count=sum(chunk.count for chunk in chunks),
        sha256=hashlib.sha256(body).hexdigest(),
        kind=kind,
        min_timestamp=min((chunk.min_timestamp for chunk in chunks), default=None),
        max_timestamp=max((chunk.max_timestamp for chunk in chunks), default=None),
    )


def metadata(head: Head) -> dict[str, str]:
    """Return ``head`` as the object's user metadata."""
    fields = {
        "next": head.next,
        "count": head.count,
        "sha256": head.sha256,
        "kind": head.kind.value,
        "min-timestamp": head.min_timestamp,
        "max-timestamp": head.max_timestamp,
    }
    return {name: str(value) for name, value in fields.items() if value is not None}


def head_of(start: int, fields: Mapping[str, str]) -> Head:
    """Read an object's user metadata.

    Raises:
        ChainError: something is missing, malformed or contradicts the rest.
    """
    try:
        head = Head(
            start=start,
            next=int(fields["next"]),
            count=int(fields["count"]),
            sha256=fields["sha256"],
            kind=Kind(fields["kind"]),
            min_timestamp=_optional(fields, "min-timestamp"),
            max_timestamp=_optional(fields, "max-timestamp"),
        )
    except (KeyError, ValueError) as error:
        raise ChainError(f"object {start}: metadata {dict(fields)}: {error!r}") from error
    if head.next <= start or not 0 <= head.count <= head.next - start:
        raise ChainError(f"object {start}: impossible interval or count in {dict(fields)}")
    if head.kind is Kind.GAP and head.count:
        raise ChainError(f"object {start}: a gap with {head.count} records")
    return head


def verify(start: int, fields: Mapping[str, str], body: bytes) -> Head:
    """Check an object's bytes against its metadata and return that.

    Raises:
        ChainError: they contradict each other.
    """
    head = head_of(start, fields)
    found = hashlib.sha256(body).hexdigest()
    if found != head.sha256:
        raise ChainError(f"object {start}: sha256 in metadata {head.sha256}, of bytes {found}")
    return head


def decompress(body: bytes) -> bytes:
    """Return the lines of an object, joined.

    Raises:
        ChainError: the bytes are not what `build` wrote.
    """
    try:
        return zstandard.ZstdDecompressor().decompress(body)
    except zstandard.ZstdError as error:
        raise ChainError(f"expected one zstd frame with its size, found otherwise: {error}") from (
            error
        )


def _compress(chunks: Iterable[Chunk]) -> bytes:
    blobs = [chunk.blob for chunk in chunks]
    frame = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj(size=sum(map(len, blobs)))
    return b"".join([*map(frame.compress, blobs), frame.flush()])


def _optional(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if name in fields else None
