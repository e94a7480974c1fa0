"""What dbt reads and did not make, brought from a DuckDB warehouse to the emulated Snowflake."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

# Raw tables grow by load batches; the books are small and are copied whole.
RAW, BOOKS = "common", "ops"
# What dbt writes of its own tables.
_DBT_S_OWN = f"{BOOKS}.model_state"
_STAGE = f"{RAW}.from_duckdb"
Columns = Mapping[str, str]


@dataclass(frozen=True)
class Copy:
    """Rows travel as Parquet files through a stage, with the types that DuckDB has.

    A VARIANT travels as JSON text: COPY reads no such type from a Parquet file.
    """

    source: Path
    target: SnowflakeConnection
    folder: Path

    def begin(self) -> None:
        """Make the schemas, the stage and the raw tables, empty."""
        self.folder.mkdir(parents=True)
        with self.target.cursor() as cursor, self._open() as db:
            for schema in (RAW, BOOKS):
                cursor.execute(f"create schema if not exists {schema}")
            cursor.execute(f"create stage if not exists {_STAGE}")
            for table, columns in _tables(db, RAW).items():
                cursor.execute(f"create table {table} ({_listed(columns)})")

    def bring(self, batch: int) -> None:
        """Add a load batch to every raw table, and replace the books."""
        with self.target.cursor() as cursor, self._open() as db:
            for table, columns in _tables(db, RAW).items():
                self._copy(cursor, db, table, columns, f"batch_id = {batch}")
            for table, columns in _tables(db, BOOKS).items():
                if table == _DBT_S_OWN:
                    continue
                cursor.execute(f"create or replace table {table} ({_listed(columns)})")
                self._copy(cursor, db, table, columns, "true")

    def _copy(
        self,
        cursor: SnowflakeCursor,
        db: duckdb.DuckDBPyConnection,
        table: str,
        columns: Columns,
        condition: str,
    ) -> None:
        path = self.folder / f"{table}.parquet"
        texts = [
            f"cast(cast({name} as json) as varchar) as {name}"
            for name, kind in columns.items()
            if kind == "VARIANT"
        ]
        selected = f"* replace ({', '.join(texts)})" if texts else "*"
        [(rows,)] = db.execute(
            f"copy (select {selected} from {table} where {condition}) to '{path}' (format parquet)"
        ).fetchall()
        if rows:
            _load(cursor, table, columns, path)

    def _open(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            self.source, read_only=True, config={"autoinstall_known_extensions": False}
        )


def _load(cursor: SnowflakeCursor, table: str, columns: Columns, path: Path) -> None:
    arriving = f"{RAW}.arriving"
    as_text = {name: "VARCHAR" if kind == "VARIANT" else kind for name, kind in columns.items()}
    values = ", ".join(
        f"parse_json({name})" if kind == "VARIANT" else name for name, kind in columns.items()
    )
    cursor.execute(f"create or replace table {arriving} ({_listed(as_text)})")
    cursor.execute(f"put 'file://{path}' @{_STAGE} auto_compress=false overwrite=true")
    cursor.execute(
        f"copy into {arriving} from @{_STAGE}/{path.name} file_format = (type = parquet) "
        "match_by_column_name = case_insensitive force = true"
    )
    cursor.execute(f"insert into {table} ({', '.join(columns)}) select {values} from {arriving}")
    cursor.execute(f"drop table {arriving}")


def _listed(columns: Columns) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def _tables(db: duckdb.DuckDBPyConnection, schema: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in db.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
        "where schema_name = ? and not internal order by table_name, column_index",
        [schema],
    ).fetchall():
        found.setdefault(table, {})[column] = kind
    return found
