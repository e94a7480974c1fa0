"""Bronze in a folder, as all contenders read it: objects in the real layout, metadata beside."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import zstandard

GENERATION: Final = "0123456789abcdef0123456789abcdef"
_LANDED_AT: Final = 1_700_000_000_000
_LINE: Final = (
    b'{"offset":%d,"timestamp":%d,"key":"%b","headers":[["schema","%b"],["source","%b"],'
    b'["run_id","bench"]],"value":%b}\n'
)


class Record(NamedTuple):
    """One Kafka record, as far as it is not the same for all."""

    key: bytes
    schema: bytes
    source: bytes
    value: bytes


@dataclass
class Landed:
    """Lines and their bytes, before compression."""

    lines: int = 0
    bytes: int = 0


def land(root: Path, topic: str, partition: int, records: Iterable[Record], size: int) -> Landed:
    """Write records behind those of a partition, in objects of at most ``size`` lines."""
    folder = root / topic / f"g={GENERATION}" / f"p={partition:05d}"
    folder.mkdir(parents=True, exist_ok=True)
    offset = max((_end(path) for path in folder.glob(".*.meta")), default=0)
    landed = Landed()
    lines: list[bytes] = []
    for record in records:
        key, schema, source, value = record
        lines.append(_LINE % (offset, _LANDED_AT + offset, key, schema, source, value))
        offset += 1
        if len(lines) == size:
            _write(folder, offset, lines, landed)
            lines = []
    if lines:
        _write(folder, offset, lines, landed)
    return landed


def _end(metadata: Path) -> int:
    return int(json.loads(metadata.read_text())["next"])


def _write(folder: Path, end: int, lines: list[bytes], landed: Landed) -> None:
    path = folder / f"{end - len(lines):020d}.jsonl.zst"
    blob = b"".join(lines)
    path.write_bytes(zstandard.ZstdCompressor(level=1).compress(blob))
    metadata = {"next": str(end), "count": str(len(lines)), "kind": "data"}
    path.with_name(f".{path.name}.meta").write_text(json.dumps(metadata))
    landed.lines += len(lines)
    landed.bytes += len(blob)


class FolderBronze:
    """``spark_jobs.bronze.Bronze`` over a folder; of each partition only the first objects."""

    def __init__(self, root: Path, objects: int | None = None) -> None:
        self._root = root
        self._objects = objects

    def folders(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return [f"{prefix}{name}/" for name in sorted(found)]

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        found = (f"{prefix}{path.name}" for path in (self._root / prefix).glob("*.jsonl.zst"))
        return (key for key in sorted(found)[: self._objects] if key > start_after)

    def metadata(self, key: str) -> Mapping[str, str]:
        path = self._root / key
        found: dict[str, str] = json.loads(path.with_name(f".{path.name}.meta").read_text())
        return found

    def uri(self, key: str) -> str:
        return f"file://{self._root / key}"
