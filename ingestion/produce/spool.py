"""The spool: records on disk from before they are handed over until Kafka has confirmed them.

One SQLite file in a folder (see ADR 0007). What a killed process leaves there is sent by the next
one, first and in the old order; what Kafka had confirmed and the spool not yet forgotten is sent
twice and deduplicated downstream. What no broker will ever take is set aside, for a person to see.
"""

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from zlib import crc32

import msgspec

from ingestion.clock import Clock, rfc3339
from ingestion.errors import SpoolError
from ingestion.produce.backlog import Entry
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.spool_file import ASIDE, FILE, TABLE, contents_of, locked, opened, told

_INSERT: Final = "insert into records (spooled_at, size_bytes, crc32, body) values (?, ?, ?, ?)"
_SELECT: Final = (
    "select number, body, size_bytes, crc32 from records where number > ? order by number limit ?"
)
_DELETE: Final = "delete from records where number = ?"
_SET_ASIDE: Final = (
    "insert into set_aside select number, ?, ?, spooled_at, size_bytes, crc32, body "
    "from records where number = ?"
)
_TAKE_BACK: Final = (
    "insert into records (spooled_at, size_bytes, crc32, body) "
    "select spooled_at, size_bytes, crc32, body from set_aside order by number"
)


class _Body(msgspec.Struct, array_like=True):
    """A record as it lies in the file."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]]
    refused: bool
    event_id: str | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Body).decode


class Spool:
    """The backlog of a source that cannot be read again; one process at a time has it open.

    ``max_bytes`` bounds the records that wait, not the file, which SQLite keeps a little larger and
    which holds what was set aside. A batch that has been read is always put, so that nothing is
    lost at the bound. ``takes_back`` puts what was set aside behind all that waits.
    """

    outlives = True

    def __init__(
        self, folder: Path, max_bytes: int, clock: Clock, takes_back: bool = False
    ) -> None:
        self.path = folder / FILE
        self._max_bytes = max_bytes
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = locked(folder / "spool.lock")
        with told(self.path):
            self._db = opened(self.path)
            self._db.execute(TABLE)
            self._db.execute(ASIDE)
        if takes_back:
            self._take_back()
        with told(self.path):
            totals = contents_of(self._db)
        self.n_kept, self._size_bytes = totals.records, totals.size_bytes
        self.n_waiting = self.n_kept
        self._taken = 0  # number of the last entry taken
        self._fresh: deque[Entry] = deque()  # put just now, with nothing before them on disk
        self._done: list[Entry] = []
        self._refused: list[tuple[Entry, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._db.close()
            self._lock.release()

    def __str__(self) -> str:
        return f"the spool {self.path} ({self.n_kept:,} records, {self._size_bytes:,} bytes)"

    @property
    def is_full(self) -> bool:
        return self._size_bytes >= self._max_bytes

    def put(self, records: Sequence[Outgoing]) -> None:
        """Add records behind all others; on return they are on disk.

        Raises:
            SpoolError: they could not be written; none of them is there.
        """
        now = rfc3339(self._clock.now())
        bodies = [_encode(_body(record)) for record in records]
        rows = [(now, len(body), crc32(body), body) for body in bodies]
        with told(self.path, f"the last {len(rows)} records read are not in it"), self._db:
            self._db.executemany(_INSERT, rows)
            (last,) = self._db.execute("select last_insert_rowid()").fetchone()
        self.n_kept += len(rows)
        self._size_bytes += sum(map(len, bodies))
        if not self.n_waiting:
            numbers = range(last - len(rows) + 1, last + 1)
            self._fresh.extend(map(Entry, numbers, records, map(len, bodies)))
        self.n_waiting += len(rows)

    def take(self, limit: int) -> Sequence[Entry]:
        """Return the next records, from memory where they have just been put.

        Raises:
            SpoolError: a record is not what was written.
        """
        if self._fresh:
            entries = [self._fresh.popleft() for _ in range(min(limit, len(self._fresh)))]
        else:
            entries = self._read(limit) if self.n_waiting else []
        if entries:
            self._taken = entries[-1].number
            self.n_waiting -= len(entries)
        return entries

    def forget(self, entry: Entry) -> None:
        self._done.append(entry)

    def set_aside(self, entry: Entry, reason: str) -> None:
        self._refused.append((entry, reason))
        self.forget(entry)

    def flush(self) -> None:
        """Delete what needs no sending any more, and set aside what was refused.

        Raises:
            SpoolError: it could not be done: it will be sent once more.
        """
        if not self._done:
            return
        done, self._done = self._done, []
        refused, self._refused = self._refused, []
        now = rfc3339(self._clock.now())
        with told(self.path), self._db:
            self._db.executemany(_SET_ASIDE, [(now, why, one.number) for one, why in refused])
            self._db.executemany(_DELETE, [(entry.number,) for entry in done])
        self.n_kept -= len(done)
        self._size_bytes -= sum(entry.size_bytes for entry in done)

    def _take_back(self) -> None:
        with told(self.path), self._db:
            self._db.execute(_TAKE_BACK)
            self._db.execute("delete from set_aside")

    def _read(self, limit: int) -> list[Entry]:
        with told(self.path):
            rows = self._db.execute(_SELECT, (self._taken, limit)).fetchall()
        return [Entry(number, self._whole(*row), row[1]) for number, *row in rows]

    def _whole(self, body: bytes, size: int, checksum: int) -> Outgoing:
        if len(body) != size or crc32(body) != checksum:
            raise SpoolError(
                f"{self.path}: expected a record of {size} bytes with checksum {checksum}, found "
                f"{len(body)} bytes with {crc32(body)}: the file is damaged, nothing was deleted"
            )
        found = _decode(body)
        return Outgoing(
            found.topic, found.key, found.value, [*found.headers], found.refused, found.event_id
        )


def _body(record: Outgoing) -> _Body:
    headers = [(name, v.encode() if isinstance(v, str) else v) for name, v in record.headers]
    return _Body(record.topic, record.key, record.value, headers, record.refused, record.event_id)
