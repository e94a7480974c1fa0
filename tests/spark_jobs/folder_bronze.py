"""Bronze in a folder, in the real layout, written as the lander writes it."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

GENERATION = "0123456789abcdef0123456789abcdef"
_T0 = 1_767_225_600_000  # 2026: after all fetches


def value_line(offset: int, value: Any, timestamp: int | None = None, key: str = "AAPL") -> bytes:
    """A line as landed; ``value`` is an object, or bytes that already are JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return line(offset, b',"value":' + body, timestamp, key)


def line(offset: int, tail: bytes, timestamp: int | None = None, key: str = "AAPL") -> bytes:
    head = {
        "offset": offset,
        "timestamp": _T0 + offset if timestamp is None else timestamp,
        "key": key,
        "headers": [["schema", "x"], ["source", "test"], ["run_id", "r1"]],
    }
    return json.dumps(head, separators=(",", ":")).encode()[:-1] + tail + b"}"


class FolderBronze:
    """``spark_jobs.bronze.Bronze`` over a folder; metadata lie beside each object."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def land(
        self,
        topic: str,
        lines: list[bytes],
        start: int,
        *,
        partition: int = 0,
        end: int | None = None,
        generation: str = GENERATION,
    ) -> Path:
        """Write one object with the interval ``[start, end)``."""
        path = (
            self.root / topic / f"g={generation}" / f"p={partition:05d}" / f"{start:020d}.jsonl.zst"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        blob = b"".join(item + b"\n" for item in lines)
        path.write_bytes(zstandard.ZstdCompressor(level=1).compress(blob))
        metadata = {
            "next": str(start + len(lines) if end is None else end),
            "count": str(len(lines)),
            "kind": "data" if lines else "gap",
        }
        path.with_name(f".{path.name}.meta").write_text(json.dumps(metadata))
        return path

    def send(self, topic: str, values: list[Any], *, start: int = 0, partition: int = 0) -> int:
        """Land values from ``start`` on and return the next offset."""
        lines = [value_line(start + i, value) for i, value in enumerate(values)]
        self.land(topic, lines, start, partition=partition)
        return start + len(values)

    def folders(self, prefix: str) -> list[str]:
        folder = self.root / prefix
        found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return [f"{prefix}{name}/" for name in sorted(found)]

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        found = (f"{prefix}{path.name}" for path in (self.root / prefix).glob("*.jsonl.zst"))
        return (key for key in sorted(found) if key > start_after)

    def metadata(self, key: str) -> Mapping[str, str]:
        path = self.root / key
        return json.loads(path.with_name(f".{path.name}.meta").read_text())

    def uri(self, key: str) -> str:
        return f"file://{self.root / key}"  # a Hadoop path: nothing is percent-encoded


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
