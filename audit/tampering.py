"""Storages that answer with a violation: the answers are changed, the storages never."""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from botocore.response import StreamingBody
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import DataScan, FileScanTask, Table

from audit.entries import DECODER, Intend, Open
from audit.kafka import Kafka
from audit.ledger import Opened, Stream
from audit.listing import Patience, Store, client
from audit.memory import Memory
from audit.model import Partition
from audit.objects import Bronze
from audit.settings import Settings

_LISTS = {"ListObjectVersions": ("Versions", "DeleteMarkers"), "ListObjectsV2": ("Contents",)}

Change = Callable[[bytes], bytes]
MakeStore = Callable[[Settings], Store]


def without_object(key: str) -> MakeStore:
    """Return what makes a store whose listings do not have this key."""

    def hide(parsed: dict[str, Any], model: Any, **_: Any) -> None:  # noqa: ANN401 - botocore's
        for name in _LISTS[model.name]:
            parsed[name] = [item for item in parsed.get(name, []) if item["Key"] != key]

    def made(settings: Settings) -> Store:
        s3 = client(settings, Patience())
        for operation in _LISTS:
            s3.meta.events.register(f"after-call.s3.{operation}", hide)
        return Store(settings, s3=s3)

    return made


def with_body(key: str, change: Change) -> MakeStore:
    """Return what makes a store that gives other bytes for this key."""

    def note(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
        context["audit_key"] = params["Key"]

    def alter(parsed: dict[str, Any], context: Mapping[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's
        if context["audit_key"] == key and "Body" in parsed:
            body = change(parsed["Body"].read())
            parsed["Body"] = StreamingBody(io.BytesIO(body), len(body))

    def made(settings: Settings) -> Store:
        s3 = client(settings, Patience())
        s3.meta.events.register("provide-client-params.s3.GetObject", note)
        s3.meta.events.register("after-call.s3.GetObject", alter)
        return Store(settings, s3=s3)

    return made


def truncated(body: bytes) -> bytes:
    """Return the bytes without their end."""
    return body[: len(body) - max(1, len(body) // 10)]


def flipped(body: bytes) -> bytes:
    """Return the bytes with one bit changed in the middle."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


class _DoublingScan(DataScan):
    """A scan in which the first data file comes twice."""

    def plan_files(self) -> list[FileScanTask]:
        tasks = list(super().plan_files())
        return [*tasks, *tasks[:1]]


class _DoublingTable(Table):
    def scan(self, *arguments: Any, **named: Any) -> DataScan:  # noqa: ANN401 - as they are
        found = super().scan(*arguments, **named)
        return _DoublingScan(
            self.metadata,
            self.io,
            found.row_filter,
            found.selected_fields,
            catalog=self.catalog,
            table_identifier=self._identifier,
        )


def doubling(name: str) -> type[SqlCatalog]:
    """Return a catalog that has a data file of one table twice."""

    class Doubling(SqlCatalog):
        def load_table(self, identifier: Any) -> Table:  # noqa: ANN401 - as it is
            found = super().load_table(identifier)
            if identifier != name:
                return found
            parts = (found.metadata, found.metadata_location, found.io, found.catalog)
            return _DoublingTable(found.name(), *parts, found.config)

    return Doubling


def first_file(table: Table) -> str:
    """Return the path of the data file that a doubling catalog has twice."""
    return next(iter(table.scan().plan_files())).file.file_path


def committed_at(place: Partition, offset: int) -> type[Kafka]:
    """Return a Kafka where every group has committed this offset."""

    class Ahead(Kafka):
        def committed(self, group: str) -> dict[tuple[str, int], int]:
            return super().committed(group) | {(place.topic, place.partition): offset}

    return Ahead


@dataclass
class _Filtered:
    """A ledger file without some of its lines."""

    file: Stream
    is_dropped: Callable[[bytes], bool]
    _kept: bytes = b""
    _torn: bytes = b""

    def read(self, size: int = -1, /) -> bytes:
        while not self._kept and (block := self.file.read(1 << 20)):
            whole, end, self._torn = (self._torn + block).rpartition(b"\n")
            lines = (line + end for line in whole.split(end)) if end else ()
            self._kept = b"".join(line for line in lines if not self.is_dropped(line))
        piece, self._kept = self._kept[:size], self._kept[size:]
        return piece

    def seek(self, offset: int, /) -> int:
        left = offset
        while left and (piece := self.read(left)):
            left -= len(piece)
        return offset - left


def without_lines(name: str, only_intents: bool) -> Opened:
    """Return what opens a ledger file without the lines, or the intents, of one id."""
    needle = msgspec.json.encode(name)

    def is_dropped(line: bytes) -> bool:
        if needle not in line:
            return False
        found = DECODER.decode(line)
        is_its = not isinstance(found, Open) and found.id == name
        return is_its and (isinstance(found, Intend) or not only_intents)

    @contextmanager
    def opened(path: Path) -> Iterator[_Filtered]:
        with path.open("rb") as file:
            yield _Filtered(file, is_dropped)

    return opened


@dataclass
class Recollection:
    """Makes memories that write nothing, learn from one audit, and forget one key at will."""

    forgotten: str = ""
    learns: bool = True
    _made: Memory | None = field(default=None, repr=False)

    def __call__(self, path: Path, store: str) -> Memory:
        """Return the one memory of all audits."""
        if self._made is None:
            self._made = _Unwritten(self, path, store)
        return self._made


class _Unwritten(Memory):
    def __init__(self, owner: Recollection, path: Path, store: str) -> None:
        super().__init__(path, store)
        self._owner = owner

    def recall(self, key: str, identity: str) -> Bronze | None:
        return None if key == self._owner.forgotten else super().recall(key, identity)

    def remember(self, found: Any) -> None:  # noqa: ANN401 - as it is
        if self._owner.learns:
            super().remember(found)

    def _save(self) -> None:
        """Leave the file to audits of what is really there."""
