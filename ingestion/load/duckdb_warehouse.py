"""The embedded warehouse: raw tables and ledger in one DuckDB file, one transaction per batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from ingestion.clock import Clock
from ingestion.errors import LoadError
from ingestion.load.lines import Refused, prepare
from ingestion.load.model import Added, Ledger, LineFile, Listed, Loaded, TableFile

_DDL = Path(__file__).with_name("duckdb.sql")
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"autoinstall_known_extensions": False}


@contextmanager
def open_warehouse(
    path: Path,
    read_lines: Callable[[list[Listed]], list[LineFile]],
    read_rows: Callable[[Added], TableFile],
    clock: Clock,
) -> Iterator["DuckDBWarehouse"]:
    """Open the file, create what is missing in it, and close it at the end.

    Raises:
        LoadError: another process has the file open, or it is no DuckDB file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(path, config=_CONFIG)
    except duckdb.Error as error:
        raise LoadError(f"{path}: {str(error).partition(chr(10))[0]}") from error
    with closing(connection):
        connection.execute(_DDL.read_text())
        yield DuckDBWarehouse(connection, read_lines, read_rows, clock)


class DuckDBWarehouse:
    """The load's writer for DuckDB; implements ``Warehouse``."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        read_lines: Callable[[list[Listed]], list[LineFile]],
        read_rows: Callable[[Added], TableFile],
        clock: Clock,
    ) -> None:
        self._db = connection
        self._read_lines = read_lines
        self._read_rows = read_rows
        self._clock = clock

    def last_keys(self, target: str) -> dict[str, str]:
        rows = self._db.execute(
            "select max(file) from ops.load_ledger where target = ? "
            "group by regexp_replace(file, '[^/]+$', '')",
            [target],
        ).fetchall()
        return {file.rpartition("/")[0] + "/": file for (file,) in rows}

    def ledger(self, target: str) -> Ledger:
        rows = self._db.execute(
            "select file, snapshot_id from ops.load_ledger where target = ?", [target]
        ).fetchall()
        return Ledger(
            frozenset(file for file, _ in rows),
            frozenset(snapshot for _, snapshot in rows if snapshot is not None),
        )

    def cost(self) -> None:
        """Nothing is billed."""

    def load_lines(self, target: str, files: Sequence[Listed]) -> Loaded:
        found = self._read_lines(list(files))
        batch, loaded_at = self._next_batch()
        accepted, refused = prepare(found)
        refused += self._stage_lines(accepted)
        ledger = [
            _ledger_row(target, f.listed.file, None, len(f.lines), f.listed.size) for f in found
        ]
        with self._transaction():
            self._db.execute(
                f"insert into {target} by name select v, topic, generation, partition, file, "  # noqa: S608
                "?::timestamp as loaded_at, ?::bigint as batch_id from staged where v is not null",
                [loaded_at, batch],
            )
            self._insert_rejects(target, refused, loaded_at, batch)
            self._insert_ledger(ledger, loaded_at, batch)
            self._compare(target, batch, {f.listed.file: len(f.lines) for f in found}, refused)
        return Loaded(len(found), sum(len(f.lines) for f in found) - len(refused), len(refused))

    def load_rows(self, target: str, files: Sequence[Added], head: int | None) -> Loaded:
        batch, loaded_at = self._next_batch()
        reached = {f.file: None if f.is_base else f.snapshot_id for f in files}
        ledger = [_ledger_row(target, f.file, reached[f.file], f.records, f.size) for f in files]
        if head is not None and head not in reached.values():
            ledger.append(_ledger_row(target, f"#{head}", head, 0, 0))
        with self._transaction():
            for added in files:
                self._insert_rows(target, self._read_rows(added), loaded_at, batch)
            self._insert_ledger(ledger, loaded_at, batch)
            self._compare(target, batch, {f.file: f.records for f in files}, [])
        return Loaded(len(files), sum(f.records for f in files))

    def _next_batch(self) -> tuple[int, datetime]:
        """Number batches by the ledger, not by a clock: dbt's increments rely on their order."""
        [(last,)] = self._db.execute(
            "select coalesce(max(batch_id), 0) from ops.load_ledger"
        ).fetchall()
        return last + 1, self._clock.now().replace(tzinfo=None)

    def _stage_lines(self, accepted: pa.Table) -> list[Refused]:
        """Parse lines into the table ``staged`` and return those that the engine refuses.

        A refused line must not take its file along, so the cast is the one that yields NULL;
        only refused lines are cast again, each alone, for the engine's reason.
        """
        with self._registered("lines", accepted):
            self._db.execute(
                "create or replace temp table staged as "
                "select try_cast(try_cast(line as json) as variant) as v, * from lines"
            )
        rows = self._db.execute(
            "select topic, generation, partition, file, line_number, line from staged "
            "where v is null order by file, line_number"
        ).fetchall()
        return [
            Refused(topic, generation, partition, file, number, line.encode(), self._reason(line))
            for topic, generation, partition, file, number, line in rows
        ]

    def _reason(self, line: str) -> str:
        try:
            self._db.execute("select cast(cast(? as json) as variant)", [line]).fetchall()
        except duckdb.Error as error:
            return f"duckdb: {str(error).partition(chr(10))[0]}"[:500]
        return "expected an object, found null"

    def _insert_rejects(
        self, target: str, refused: list[Refused], loaded_at: datetime, batch: int
    ) -> None:
        rows = pa.Table.from_pylist(
            [line.row() for line in refused], schema=pa.schema(Refused.TYPES)
        )
        with self._registered("refused_lines", rows):
            self._db.execute(
                f"insert into {_rejects(target)} by name select *, ?::timestamp as loaded_at, "  # noqa: S608
                "?::bigint as batch_id from refused_lines",
                [loaded_at, batch],
            )

    def _insert_rows(self, target: str, found: TableFile, loaded_at: datetime, batch: int) -> None:
        with self._registered("lake_rows", found.rows):
            self._follow_schema(target)
            self._db.execute(
                f"insert into {target} by name select *, ? as file, ?::bigint as snapshot_id, "  # noqa: S608
                "?::timestamp as loaded_at, ?::bigint as batch_id from lake_rows",
                [found.added.file, found.added.snapshot_id, loaded_at, batch],
            )

    def _follow_schema(self, target: str) -> None:
        """Add the columns that the lake has gained; refuse decimals that would be rounded here."""
        known = dict(self._types(target))
        for name, kind in self._types("lake_rows"):
            if name not in known:
                self._db.execute(f'alter table {target} add column "{name}" {kind}')
            elif kind.startswith("DECIMAL") and kind != known[name]:
                raise LoadError(
                    f"{target}: expected {name} as {known[name]}, found {kind} in the lake"
                )

    def _types(self, relation: str) -> list[tuple[str, str]]:
        return self._db.execute(
            f"select column_name, column_type from (describe {relation})"  # noqa: S608
        ).fetchall()

    def _insert_ledger(
        self, ledger: list[dict[str, str | int | None]], loaded_at: datetime, batch: int
    ) -> None:
        rows = pa.Table.from_pylist(
            [row | {"loaded_at": loaded_at, "batch_id": batch} for row in ledger],
            schema=pa.schema(_LEDGER_TYPES),
        )
        with self._registered("ledger_rows", rows):
            self._db.execute("insert into ops.load_ledger by name select * from ledger_rows")

    def _compare(
        self, target: str, batch: int, expected: dict[str, int], refused: list[Refused]
    ) -> None:
        """Count what the transaction holds for each file, before it is committed."""
        found: dict[str, int] = dict(
            self._db.execute(
                f"select file, count(*) from {target} where batch_id = ? group by file",  # noqa: S608
                [batch],
            ).fetchall()
        )
        for line in refused:
            found[line.file] = found.get(line.file, 0) + 1
        for file, rows in expected.items():
            if found.get(file, 0) != rows:
                raise LoadError(f"{file}: expected {rows} rows, found {found.get(file, 0)}")

    @contextmanager
    def _registered(self, name: str, rows: pa.Table) -> Iterator[None]:
        self._db.register(name, rows)
        try:
            yield
        finally:
            self._db.unregister(name)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")


_LEDGER_TYPES: dict[str, pa.DataType] = {
    "target": pa.string(),
    "file": pa.string(),
    "snapshot_id": pa.int64(),
    "rows": pa.int64(),
    "bytes": pa.int64(),
    "batch_id": pa.int64(),
    "loaded_at": pa.timestamp("us"),
}


def _ledger_row(
    target: str, file: str, snapshot_id: int | None, rows: int, size: int
) -> dict[str, str | int | None]:
    return {
        "target": target,
        "file": file,
        "snapshot_id": snapshot_id,
        "rows": rows,
        "bytes": size,
    }


def _rejects(target: str) -> str:
    return f"{target.removesuffix('_raw')}_rejects"
