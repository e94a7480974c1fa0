"""Gold in PostgreSQL, as `serving.py` has copied it there, for a `MirroredGold`."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import duckdb
from psycopg2 import extensions

from dashboards.contract import Column, Table
from dbt_stocks.books import Build
from dbt_stocks.postgres import named, quoted
from dbt_stocks.postgres_session import connected, require_url
from ingestion.errors import BuildError, ServingError

_FIELDS: Final = tuple(one.name for one in fields(Build))
_TIMES: Final = ("as_of", "started_at", "finished_at")


@dataclass(frozen=True)
class PostgresGold:
    """The database of a URL; implements ``Source``. It logs in anew for each question."""

    url: str

    @property
    def name(self) -> str:
        """Return a name made of host, port and database."""
        require_url(self.url)
        parts = extensions.parse_dsn(self.url)
        place = "/".join(parts.get(one, "") for one in ("host", "port", "dbname"))
        return f"postgres_{sha256(place.encode()).hexdigest()[:12]}"

    def build_id(self) -> str:
        """Return the build that was copied there last."""
        with connected(self.url) as db, db.cursor() as cursor:
            return _record(cursor).build_id

    def copy(self, db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Build:
        """Fill tables from one snapshot, in which all rows are of one build."""
        with connected(self.url) as session, session.cursor() as cursor:
            is_served = _is_served(cursor)
            session.rollback()
            cursor.execute("set transaction isolation level repeatable read, read only")
            # The first query takes the snapshot: a copy that changes columns is waited for before.
            if is_served:
                cursor.execute("lock table ops.builds in access share mode")
            build = _record(cursor)
            for table in tables.values():
                _fill(cursor, db, table)
            return build

    def close(self) -> None:
        """Do nothing: no session is kept."""


def _record(cursor: Any) -> Build:  # noqa: ANN401 - psycopg2's
    columns = ", ".join(
        f"{one} at time zone 'UTC' as {one}" if one in _TIMES else one for one in _FIELDS
    )
    found = None
    if _is_served(cursor):
        cursor.execute(f"select {columns} from ops.builds")  # noqa: S608 - names of ours
        found = cursor.fetchone()
    if found is None:
        raise BuildError(
            "expected published gold in PostgreSQL, found no build yet: run "
            "`python -m dbt_stocks publish --to postgres`"
        )
    return Build(*found)


def _is_served(cursor: Any) -> bool:  # noqa: ANN401 - psycopg2's
    cursor.execute("select to_regclass('ops.builds') is not null")
    return bool(cursor.fetchone()[0])


def _fill(cursor: Any, db: duckdb.DuckDBPyConnection, table: Table) -> None:  # noqa: ANN401 - psycopg2's
    columns = table.columns.values()
    query = f"select {', '.join(map(_as_utc, columns))} from {named(table.name)}"  # noqa: S608 - names of the contract
    with tempfile.TemporaryDirectory(prefix="tapehouse-gold-") as folder:
        path = Path(folder) / "rows.csv"
        with path.open("wb") as file:
            cursor.copy_expert(f"copy ({query}) to stdout (format csv)", file)
        sent = cursor.rowcount
        if not path.stat().st_size:
            return  # DuckDB refuses an empty file
        types = {column.name: column.type_in("duckdb") for column in columns}
        # As PostgreSQL's CSV has it: NULL is an empty field, and an empty text is "".
        db.execute(
            f"insert into gold.{table.name} select * from read_csv(?, header = false, "  # noqa: S608 - a name of the contract
            "auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', "
            "allow_quoted_nulls = false, new_line = '\\n', parallel = false, columns = ?)",
            [str(path), types],
        )
    [(rows,)] = db.execute(f"select count(*) from gold.{table.name}").fetchall()  # noqa: S608 - as above
    if rows != sent:
        raise ServingError(f"{named(table.name)}: expected {sent} rows, found {rows}")


def _as_utc(column: Column) -> str:
    name = quoted(column.name)
    return f"{name} at time zone 'UTC'" if column.type == "timestamp" else name
