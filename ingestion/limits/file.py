"""The file of all budgets: one SQLite database, private, written by one transaction at a time."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from ingestion.errors import LimitsError

NAME: Final = "budgets.db"
_VERSION: Final = 1
# `ended_at` of an open request is when it is given up; of any other, when its answer was there.
_SCHEMA: Final = f"""
create table if not exists accounts (
    account text primary key,
    provider text not null,
    host text not null,
    key_hash text not null,
    held_until integer not null default 0,
    held_for text not null default '',
    refusals integer not null default 0,
    circuit text not null default 'closed',
    failures integer not null default 0,
    next_at integer not null default 0
) without rowid;
create table if not exists requests (
    number integer primary key autoincrement,
    account text not null,
    ended_at integer not null,
    is_open integer not null
);
create index if not exists requests_by_end on requests (account, ended_at);
pragma user_version = {_VERSION};
"""
# A transaction takes a few milliseconds; whoever waits longer than this waits for a dead disk.
_BUSY_S: Final = 20.0


class LimitsFile:
    """All budgets of this machine's user. Safe for threads; each process opens its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lock = Lock()
        with _told(self._path):
            _make_private(folder, self._path)
            self._db = sqlite3.connect(
                self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                # Two that make it a WAL file at once do not wait for each other: one is refused.
                with FileLock(folder / f"{NAME}.lock", timeout=_BUSY_S, mode=0o600):
                    self._prepare()
            except BaseException:
                self._db.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write alone among all processes; what is committed is on the disk.

        Raises:
            LimitsError: the file cannot be used; nothing is changed.
        """
        with self._lock, _told(self._path):
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                if self._db.in_transaction:  # a full disk ends it by itself, as a rule
                    self._db.execute("rollback")
                raise

    def close(self) -> None:
        """Close the file; it is complete at any moment, also without this."""
        with self._lock:
            self._db.close()

    def _prepare(self) -> None:
        found = self._db.execute("pragma user_version").fetchone()[0]
        if found not in (0, _VERSION):
            raise LimitsError(f"{self._path}: expected version {_VERSION}, found {found}")
        self._db.execute("pragma journal_mode = wal")
        # Without, a power cut would take back the day's count, which the provider still has.
        self._db.execute("pragma synchronous = full")
        if found != _VERSION:
            self._db.executescript(_SCHEMA)


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the file to look at it, also while others write; None where there is none.

    Raises:
        LimitsError: it cannot be read.
    """
    path = folder / NAME
    if not path.is_file():
        yield None
        return
    with _told(path):
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        try:
            db.execute("begin")  # all that is read is of one moment
            yield db
        finally:
            db.close()


def _make_private(folder: Path, path: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, Timeout) as error:
        raise LimitsError(
            f"{path}: the file of budgets fails: {error}; without it nothing is asked of a provider"
        ) from error
