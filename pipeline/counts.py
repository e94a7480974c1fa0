"""Rows of silver and gold, and records set aside as copies: compared before and after a run."""

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion.errors import LoadError, WarehouseLockedError
from ingestion.lock import held
from ingestion.settings import WarehouseSettings

_DEDUPLICATED = (
    "select count(*) from common.rejects_raw where reason = 'duplicate'",
    "select count(*) from verdicts.silver_quotes_deduplicated",
)

# Its rows are of test runs, not of records: every build adds its own.
_OF_RUNS = "gold_dq_scorecard"

# DuckDB's words where another process has the file open for writing; they name that process.
_HELD = re.compile(r"[Cc]onflicting lock is held(?: in (?P<holder>.+? \(PID \d+\)))?")


@dataclass(frozen=True)
class Counts:
    """Rows by relation of each schema, but the scorecard of test runs.

    ``deduplicated`` is records known to be sent again.
    """

    silver: dict[str, int]
    gold: dict[str, int]
    deduplicated: int


def _silent(_line: str) -> None:
    """Say nothing: what a library does unless its caller wants the lines."""


def read(say: Callable[[str], None] = _silent) -> Counts:
    """Count; a warehouse that is not there yet holds nothing.

    ``say`` is told once where the project's lock must be waited for.

    Raises:
        WarehouseLockedError: a process holds the lock for too long, or writes without taking it.
        LoadError: the file cannot be opened for another reason.
    """
    settings = WarehouseSettings.load()
    if not settings.file().is_file():
        return Counts({}, {}, 0)
    with held(settings.lock(), settings.lock_timeout_s, say), _opened(settings.file()) as db:
        return Counts(_rows(db, "silver"), _rows(db, "gold"), _deduplicated(db))


@contextmanager
def _opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        raise _refused(path, str(error).partition("\n")[0]) from error
    with closing(connection):
        yield connection


def _refused(path: Path, text: str) -> WarehouseLockedError | LoadError:
    found = _HELD.search(text)
    if found is None:
        return LoadError(f"expected to read the warehouse {path}, found: {text}")
    holder = found["holder"] or "another process"
    return WarehouseLockedError(
        f"expected to read the warehouse {path}, found it open for writing in {holder}: "
        "close it there"
    )


def _rows(db: duckdb.DuckDBPyConnection, schema: str) -> dict[str, int]:
    names = db.execute(
        "select table_name from information_schema.tables "
        "where table_schema = ? and table_name <> ? order by table_name",
        [schema, _OF_RUNS],
    ).fetchall()
    return {name: _one(db, f"select count(*) from {schema}.{name}") for (name,) in names}  # noqa: S608 - names of the catalog


def _deduplicated(db: duckdb.DuckDBPyConnection) -> int:
    try:
        return sum(_one(db, query) for query in _DEDUPLICATED)
    except duckdb.CatalogException:
        return 0  # loaded, and not yet built


def _one(db: duckdb.DuckDBPyConnection, query: str) -> int:
    row = db.execute(query).fetchone()
    return int(row[0]) if row else 0
