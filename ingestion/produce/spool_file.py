"""The spool's file: how it is opened, and what lies in it, also for one who only looks."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from filelock import FileLock, Timeout

from ingestion.errors import SpoolError

FILE: Final = "spool.db"
# `autoincrement` never gives a number again, so the order holds over any number of runs.
TABLE: Final = """
create table if not exists records (
    number integer primary key autoincrement,
    spooled_at text not null,
    size_bytes integer not null,
    crc32 integer not null,
    body blob not null
)
"""
# What Kafka refused for good: kept, and sent no more unless a person asks for it.
ASIDE: Final = """
create table if not exists set_aside (
    number integer primary key,
    set_aside_at text not null,
    reason text not null,
    spooled_at text not null,
    size_bytes integer not null,
    crc32 integer not null,
    body blob not null
)
"""
_TOTALS: Final = "select count(*), coalesce(sum(size_bytes), 0), min(spooled_at) from records"
_REASONS: Final = (
    "select reason, count(*), sum(size_bytes), min(set_aside_at) from set_aside "
    "group by reason order by reason"
)


@dataclass(frozen=True)
class Aside:
    """What was set aside for one reason; ``oldest_at`` is when the first was."""

    reason: str
    records: int
    size_bytes: int
    oldest_at: str


@dataclass(frozen=True)
class Contents:
    """What a spool holds; ``oldest_at`` is when its first record was put there."""

    records: int
    size_bytes: int
    oldest_at: str | None
    aside: tuple[Aside, ...]


def contents(folder: Path) -> Contents:
    """Return what a spool holds, also while a producer uses it.

    Raises:
        SpoolError: there is none, or it cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        raise SpoolError(f"expected a spool in {folder}, found no file {FILE}")
    with told(path), closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        return contents_of(db)


def contents_of(db: sqlite3.Connection) -> Contents:
    """Return what an open spool holds."""
    records, size_bytes, oldest_at = db.execute(_TOTALS).fetchone()
    return Contents(records, size_bytes, oldest_at, _aside(db))


def _aside(db: sqlite3.Connection) -> tuple[Aside, ...]:
    """Return what was set aside: nothing where the file is older than this table."""
    if not db.execute("select 1 from sqlite_master where name = 'set_aside'").fetchone():
        return ()
    return tuple(Aside(*row) for row in db.execute(_REASONS))


def opened(path: Path) -> sqlite3.Connection:
    """Open a spool to write, or make it."""
    db = sqlite3.connect(path)
    # Readers are never in the way, and a commit is on the disk before its records are sent.
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    return db


def locked(path: Path) -> FileLock:
    """Keep every other process out.

    Raises:
        SpoolError: one is in.
    """
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise SpoolError(
            f"expected the spool {path.parent} for this producer alone, found it in use by another "
            "process: wait for its end, or give this one a --spool of its own"
        ) from None
    return lock


@contextmanager
def told(path: Path, consequence: str = "what it holds is still there") -> Iterator[None]:
    """Tell what goes wrong with SQLite in our words, and what that means for the records."""
    try:
        yield
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: the spool fails: {error}; {consequence}") from error
