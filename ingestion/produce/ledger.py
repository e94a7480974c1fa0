"""The write-ahead ledger: what was meant to be sent, and what Kafka said of it, for an auditor.

One file a run, one JSON object a line. A record is in it before the client has it: what has no
outcome here may be in Kafka, what is not here cannot be. A torn last line is of a killed process.
"""

import fcntl
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from ingestion.clock import Clock, rfc3339
from ingestion.errors import LedgerError, SettingsError
from ingestion.produce.outgoing import Outgoing

VERSION: Final = 1
# The run's name is the file's: no separator, no hidden file.
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# Ids, topics and symbols are short, and so are librdkafka's reasons.
_LONGEST_LINE: Final = 2**16

_encode = msgspec.json.Encoder().encode


class _Open(msgspec.Struct, tag_field="op", tag="open"):
    version: int
    run_id: str
    at: str


class _Intend(msgspec.Struct, tag_field="op", tag="intend"):
    id: str
    topic: str
    key: str | None
    sha256: str


class _Acked(msgspec.Struct, tag_field="op", tag="acked"):
    id: str
    topic: str
    partition: int
    offset: int


class _Failed(msgspec.Struct, tag_field="op", tag="failed"):
    id: str
    reason: str


class _Unknown(msgspec.Struct, tag_field="op", tag="unknown"):
    id: str
    reason: str


class NoLedger:
    """Where none is kept."""

    def intend(self, records: Sequence[Outgoing]) -> None: ...
    def acked(self, record: Outgoing, partition: int, offset: int) -> None: ...
    def failed(self, record: Outgoing, reason: str) -> None: ...
    def unknown(self, record: Outgoing, reason: str) -> None: ...
    def flush(self) -> None: ...


class Ledger:
    """One run's file in a folder; opening it fails while another process has it.

    ``intend`` is written at once, by one write(2); outcomes wait for ``flush``, since one that is
    missing only says what the auditor assumes anyway: unknown.
    """

    def __init__(self, folder: Path, run_id: str, clock: Clock) -> None:
        if not _RUN_ID.fullmatch(run_id):
            raise SettingsError(
                "--run-id: expected letters, digits, '.', '_' and '-' where a ledger is kept, "
                f"found {run_id!r}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{run_id}.jsonl"
        self._file = self.path.open("ab+", buffering=0)
        self._outcomes: list[bytes] = []
        self._is_broken = False
        self._lock()
        self._size = self._whole_lines()
        if not self._size:
            self._write([_encode(_Open(VERSION, run_id, rfc3339(clock.now())))])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._file.close()

    def intend(self, records: Sequence[Outgoing]) -> None:
        """Write that records are about to be handed over.

        Raises:
            LedgerError: it could not be written; none of them may be handed over.
        """
        self._write([_encode(_intention(record)) for record in records])

    def acked(self, record: Outgoing, partition: int, offset: int) -> None:
        """Note that Kafka confirmed a record."""
        self._outcomes.append(_encode(_Acked(record.id, record.topic, partition, offset)))

    def failed(self, record: Outgoing, reason: str) -> None:
        """Note that a record was certainly not written."""
        self._outcomes.append(_encode(_Failed(record.id, reason)))

    def unknown(self, record: Outgoing, reason: str) -> None:
        """Note that a record may have been written."""
        self._outcomes.append(_encode(_Unknown(record.id, reason)))

    def flush(self) -> None:
        """Write the outcomes noted so far; after a failed write there is nothing more to say.

        Raises:
            LedgerError: they could not be written.
        """
        outcomes, self._outcomes = self._outcomes, []
        if outcomes and not self._is_broken:
            self._write(outcomes)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise LedgerError(
                f"expected the ledger {self.path} for this run alone, found it in use by another "
                "process: give each run a --run-id of its own"
            ) from None

    def _whole_lines(self) -> int:
        """Cut a torn last line of an earlier process off, and return the size that is left."""
        start = max(0, self._file.seek(0, os.SEEK_END) - _LONGEST_LINE)
        self._file.seek(start)
        newline = self._file.read().rfind(b"\n")
        size = start + newline + 1
        self._file.truncate(size)
        return size

    def _write(self, lines: Sequence[bytes]) -> None:
        """Append lines, all or none: half a line would spoil the one that follows it."""
        block = memoryview(b"\n".join([*lines, b""]))
        done = 0
        try:
            while done < len(block):
                done += self._file.write(block[done:])
        except OSError as error:
            self._is_broken = True
            os.truncate(self._file.fileno(), self._size)
            raise LedgerError(
                f"{self.path}: expected to write {len(lines)} lines before the next record is "
                f"sent, found: {error.strerror}. Nothing more was sent"
            ) from error
        self._size += len(block)


def _intention(record: Outgoing) -> _Intend:
    key = None if record.key is None else record.key.decode(errors="backslashreplace")
    return _Intend(record.id, record.topic, key, sha256(record.value).hexdigest())
