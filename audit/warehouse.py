"""The warehouse file, opened read-only under the project lock."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from filelock import FileLock, Timeout

from audit.errors import UnreadableError
from audit.model import Holdings
from audit.offsets import collect, merge
from audit.settings import Settings

_ROWS = 100_000  # rows of one Arrow batch
_MEMORY = "256MB"
_TRY_S = 0.2

# Raw table of each lake table that has transport identity.
RAW_OF_LAKE = {
    "silver.bars": "common.bars_raw",
    "silver.corporate_actions": "common.corporate_actions_raw",
    "silver.rejects": "common.rejects_raw",
}
# A line that the engine refuses is loaded as a reject: the two together are the topic.
QUOTES_RAW = ("common.bronze_stock_quotes_raw", "common.bronze_stock_quotes_rejects")
QUOTES_TOPIC = "stock-quotes"
LEDGER = "ops.load_ledger"


class Warehouse:
    """An open connection that cannot write."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        rows = connection.execute(
            "select table_schema || '.' || table_name, column_name from information_schema.columns"
        ).fetchall()
        self._columns: dict[str, set[str]] = {}
        for relation, column in rows:
            self._columns.setdefault(relation, set()).add(column)

    def has(self, relation: str) -> bool:
        """Return whether ``schema.name`` exists."""
        return relation in self._columns

    def columns(self, relation: str) -> set[str]:
        """Return a relation's column names; empty where it does not exist."""
        return self._columns.get(relation, set())

    def relations(self, schema: str) -> list[str]:
        """Return the names in a schema, sorted."""
        return sorted(name for name in self._columns if name.startswith(f"{schema}."))

    def holdings(self, relation: str, where: str = "true") -> Holdings:
        """Return a relation's records by transport identity; nothing where it does not exist."""
        if not self.has(relation):
            return {}
        value = '"offset"' if "offset" in self.columns(relation) else "cast(v['offset'] as bigint)"
        query = (
            f'select topic, generation, "partition", {value} as "offset"'  # noqa: S608 - constants
            f" from {relation} where {where}"
        )
        return collect(self.connection.sql(query).to_arrow_reader(_ROWS))

    def total(self, relations: Iterable[str], where: str = "true") -> Holdings:
        """Return the records of several relations together."""
        return merge(*(self.holdings(relation, where) for relation in relations))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        return self.connection.execute(query).fetchall()


@contextmanager
def opened(settings: Settings, on_wait: Callable[[str], None]) -> Iterator[Warehouse | None]:
    """Hold the project lock and open the warehouse; None where there is none yet."""
    path = settings.warehouse()
    if not path.exists():
        yield None
        return
    timeout = settings.number("WAREHOUSE_LOCK_TIMEOUT_S", 600.0)
    with _locked(path, timeout, on_wait), connected(path) as connection:
        yield Warehouse(connection)


@contextmanager
def connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file read-only, with bounded memory."""
    with readable(f"the warehouse {path}"), tempfile.TemporaryDirectory() as spill:
        connection = duckdb.connect(
            path, read_only=True, config={"memory_limit": _MEMORY, "temp_directory": spill}
        )
        try:
            connection.execute("set timezone = 'UTC'")
            connection.execute("set enable_progress_bar = false")
            yield connection
        finally:
            connection.close()


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn the engine's errors into ours."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        text = str(error).partition("\n")[0]
        raise UnreadableError(f"{what} cannot be read: {text}") from error


@contextmanager
def _locked(path: Path, timeout: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=_TRY_S)
    except Timeout:
        on_wait(f"waiting for the warehouse lock {lock.lock_file} (at most {timeout:.0f} s)")
        _wait(lock, timeout)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, timeout: float) -> None:
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise UnreadableError(
            f"the warehouse lock {lock.lock_file} was not free within {timeout:.0f} s"
        ) from None
