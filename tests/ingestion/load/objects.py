"""Bronze objects as the lander writes them, made by hand."""

import hashlib
import json
from collections.abc import Sequence

import zstandard

from ingestion.load.bronze import line_file
from ingestion.load.model import LineFile, Listed

GENERATION = "0" * 31 + "a"


def key(start: int, partition: int = 0, topic: str = "stock-quotes") -> str:
    return f"{topic}/g={GENERATION}/p={partition:05d}/{start:020d}.jsonl.zst"


def line(offset: int, value: object = None) -> bytes:
    body = {"schema": "quote.v1", "event_id": f"e{offset}"} if value is None else value
    return json.dumps({"offset": offset, "timestamp": 1, "value": body}).encode()


def stored(lines: Sequence[bytes], start: int = 0) -> tuple[dict[str, str], bytes]:
    """Return an object's metadata and compressed body; without lines it is a gap of one offset."""
    body = zstandard.ZstdCompressor(level=1).compress(b"".join(found + b"\n" for found in lines))
    digest = hashlib.sha256(body).hexdigest()
    metadata = {
        "next": str(start + max(len(lines), 1)),
        "count": str(len(lines)),
        "sha256": digest,
        "kind": "data" if lines else "gap",
    }
    return metadata, body


def made(start: int, lines: Sequence[bytes], partition: int = 0) -> LineFile:
    metadata, body = stored(lines, start)
    return line_file(Listed(key(start, partition), len(body)), metadata, body)
