"""What the warehouse's catalog says of marts; schemas are ours, tables those of the catalog."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

# dbt names what it is about to put in a model's place so; a killed run leaves them behind.
_LEFT_BEHIND: Final = ("__dbt_tmp", "__dbt_backup")


def tables(db: duckdb.DuckDBPyConnection, schema: str, database: str | None = None) -> list[str]:
    """Return the tables of a schema; of another database when one is named."""
    rows = db.execute(
        "select table_name from duckdb_tables() where schema_name = ? "
        "and database_name = coalesce(?, current_database()) order by table_name",
        [schema, database],
    ).fetchall()
    return [row[0] for row in rows if not row[0].endswith(_LEFT_BEHIND)]


def views(
    db: duckdb.DuckDBPyConnection, schema: str, database: str | None = None
) -> list[tuple[str, str]]:
    """Return the views of a schema and the statements that made them."""
    rows = db.execute(
        "select view_name, sql from duckdb_views() where schema_name = ? "
        "and database_name = coalesce(?, current_database()) order by view_name",
        [schema, database],
    ).fetchall()
    return [(name, sql) for name, sql in rows if not name.endswith(_LEFT_BEHIND)]


def columns(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[tuple[str, str]]:
    """Return the names and types of a table's columns, in order."""
    return db.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? "
        "and table_name = ? and database_name = current_database() order by column_index",
        [schema, table],
    ).fetchall()


def row_counts(db: duckdb.DuckDBPyConnection, schema: str) -> dict[str, int]:
    """Return the rows of every table of a schema."""
    counts = {}
    for table in tables(db, schema):
        [(rows,)] = db.execute(f"select count(*) from {schema}.{table}").fetchall()  # noqa: S608
        counts[table] = int(rows)
    return counts


def stamped(schema: str, mart: str, build_id: str) -> str:
    """Return SQL of a mart's rows as a build shows them.

    Rows that an increment left alone were computed by an earlier build and belong to this one.
    """
    return f"select * replace ('{build_id}' as build_id) from {schema}.{mart}"  # noqa: S608


def quoted(path: Path) -> str:
    """Return a path as it stands between the quotes of an SQL text."""
    return str(path).replace("'", "''")


@contextmanager
def transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Do everything inside in one transaction, or nothing of it."""
    db.execute("begin")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")
