"""What was fetched of each symbol: so that an interrupted fetch goes on, and the next one is short.

One small file for a provider and an interval. A symbol is in it once Kafka has confirmed every
record of its pull: what a killed process had handed out and not seen confirmed is fetched again,
and gets the same event_ids. The file is replaced as a whole, after a flush to the disk: a reader
finds the old one or the new one, whenever the process or the machine dies.
"""

import os
from collections import deque
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct, field

from ingestion.errors import SourceBusyError, SourceError

VERSION: Final = 1


class Covered(Struct, frozen=True):
    """A symbol's sessions that were pulled without a gap; both bounds are inclusive.

    ``splits`` are those known in it: "2020-08-31 4" is four new shares per old one.
    """

    start: date
    end: date
    splits: tuple[str, ...] = ()


class Job(Struct, frozen=True):
    """A fetch that has begun and not reached its end, and the symbols that it is done with."""

    start: date
    end: date
    done: tuple[str, ...] = ()


class _Document(Struct):
    version: int = VERSION
    job: Job | None = None
    symbols: dict[str, Covered] = field(default_factory=dict)


class Progress:
    """One file; another process that opens it meanwhile is refused.

    ``hand_out`` says that a symbol's records are on their way, ``settle`` how many records of this
    run Kafka has confirmed: only then is the symbol written.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.json"
        self._lock = FileLock(self._path.with_suffix(".lock"))
        self._on_their_way: deque[tuple[int, str, Covered]] = deque()
        self._is_at_end = False
        self._document = _Document()

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise SourceBusyError(
                f"{self._path}: expected to fetch alone, found another process that fetches the "
                "same just now: wait for its end"
            ) from None
        try:
            self._document = self._read()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._lock.release()

    def begin(self, start: date, end: date) -> None:
        """Begin a fetch of a range, or go on with the one of the same range that was cut short."""
        job = self._document.job
        self._on_their_way.clear()
        self._is_at_end = False
        if job is None or (job.start, job.end) != (start, end):
            self._document.job = Job(start, end)
            self._write()

    def is_done(self, symbol: str) -> bool:
        """Tell whether the fetch that was begun is done with a symbol."""
        return self._document.job is not None and symbol in self._document.job.done

    def covered(self, symbol: str) -> Covered | None:
        """Return what earlier fetches have of a symbol."""
        return self._document.symbols.get(symbol)

    def hand_out(self, symbol: str, covered: Covered, last: int) -> None:
        """Note that a symbol is pulled; ``last`` is its last record's number in this run, from 1.

        Numbers ascend from call to call.
        """
        self._on_their_way.append((last, symbol, covered))

    def end(self) -> None:
        """Note that the fetch has reached its end: once all is confirmed, the next is a new one."""
        self._is_at_end = True

    def settle(self, confirmed: int) -> None:
        """Write the symbols whose records are confirmed: ``confirmed`` from the first, no gap."""
        job, is_changed = self._document.job, False
        while job and self._on_their_way and self._on_their_way[0][0] <= confirmed:
            _, symbol, covered = self._on_their_way.popleft()
            self._document.symbols[symbol] = covered
            job = Job(job.start, job.end, (*job.done, symbol))
            is_changed = True
        if job and self._is_at_end and not self._on_their_way:
            job, is_changed = None, True
        self._document.job = job
        if is_changed:
            self._write()

    def _read(self) -> _Document:
        if not self._path.exists():
            return _Document()
        try:
            document = msgspec.json.decode(self._path.read_bytes(), type=_Document)
        except msgspec.MsgspecError as error:
            raise SourceError(f"{self._path}: expected a fetch's progress: {error}") from None
        if document.version != VERSION:
            raise SourceError(f"{self._path}: expected version {VERSION}, found {document.version}")
        return document

    def _write(self) -> None:
        draft = self._path.with_suffix(".draft")  # of the one process that has the lock
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(self._document))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
