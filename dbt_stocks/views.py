"""Marts that are views: what they show is computed on read, so they are published as text."""

import re
from typing import Final

import duckdb

# A table of the candidate as a view's text names it, with the warehouse's name before it or not.
_TABLE: Final = re.compile(r'(?:(?:"[^"]+"|\w+)\.)?"?gold_candidate"?\.')
# dbt names what it is about to put in a model's place so; a killed run leaves them behind.
_LEFT_BEHIND: Final = ("__dbt_tmp", "__dbt_backup")


def texts(db: duckdb.DuckDBPyConnection, schema: str) -> dict[str, str]:
    """Return the SELECT of each view of a schema, its tables named as those of schema ``gold``."""
    rows = db.execute(
        "select view_name, sql from duckdb_views() where schema_name = ? "
        "and database_name = current_database() order by view_name",
        [schema],
    ).fetchall()
    return {
        name: _TABLE.sub("gold.", sql.partition(" AS ")[2].rstrip().removesuffix(";"))
        for name, sql in rows
        if not name.endswith(_LEFT_BEHIND)
    }


def create(db: duckdb.DuckDBPyConnection, found: dict[str, str], schema: str) -> None:
    """Make the views in a schema ``gold``, this database's or another's, and drop all others there.

    A view looks for its tables in its own database, whatever name that is opened under.
    """
    database, _, _ = schema.rpartition(".")
    there = db.execute(
        "select view_name from duckdb_views() where schema_name = 'gold' "
        "and database_name = coalesce(nullif(?, ''), current_database())",
        [database],
    ).fetchall()
    for (name,) in there:
        db.execute(f"drop view {schema}.{name}")
    for name, text in found.items():
        db.execute(f"create view {schema}.{name} as {text}")
