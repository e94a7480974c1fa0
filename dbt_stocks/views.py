"""Marts that are views: what they show is computed on read, so they are published as text."""

import re
from typing import Final

import duckdb

from dbt_stocks import catalog

# A table of the candidate as a view's text names it, with the warehouse's name before it or not.
_TABLE: Final = re.compile(r'(?:(?:"[^"]+"|\w+)\.)?"?gold_candidate"?\.')


def texts(
    db: duckdb.DuckDBPyConnection, schema: str, database: str | None = None
) -> dict[str, str]:
    """Return the SELECT of each view of a schema, its tables named as those of schema ``gold``."""
    return {
        name: _TABLE.sub("gold.", sql.partition(" AS ")[2].rstrip().removesuffix(";"))
        for name, sql in catalog.views(db, schema, database)
    }


def drop(db: duckdb.DuckDBPyConnection, schema: str) -> None:
    """Drop the views of a schema."""
    for name, _ in catalog.views(db, schema):
        db.execute(f"drop view {schema}.{name}")


def create(db: duckdb.DuckDBPyConnection, found: dict[str, str], schema: str) -> None:
    """Make the views in a schema ``gold`` that has none, this database's or another's.

    A view looks for its tables in its own database, whatever name that is opened under.
    """
    for name, text in found.items():
        db.execute(f"create view {schema}.{name} as {text}")
