"""Marts that are views: what they show is computed on read, so they are published as text."""

import re
from typing import Final

from dbt_stocks import catalog
from dbt_stocks.catalog import Session

# A table of the candidate as a view's text names it, with the warehouse's name before it or not.
_TABLE: Final = re.compile(r'(?:(?:"[^"]+"|\w+)\.)?"?gold_candidate"?\.', re.IGNORECASE)
# Engines keep a view as the statement that made it; Snowflake's reference says: as its query.
_HEAD: Final = re.compile(r"\A\s*create\b.*?\bas\b", re.IGNORECASE | re.DOTALL)


def texts(
    db: Session, schema: str, database: str | None = None, place: str = "gold."
) -> dict[str, str]:
    """Return the SELECT of each view of a schema, its tables named as those of ``place``.

    Without a place, they are those of the schema that the view is made in.
    """
    return {
        name: _TABLE.sub(place, _HEAD.sub("", sql, count=1).strip().removesuffix(";"))
        for name, sql in catalog.views(db, schema, database)
    }


def drop(db: Session, schema: str) -> None:
    """Drop the views of a schema."""
    for name, _ in catalog.views(db, schema):
        db.execute(f"drop view {schema}.{name}")


def create(db: Session, found: dict[str, str], schema: str) -> None:
    """Make the views in a schema that has none, this database's or another's.

    A view looks for its tables in its own database, whatever name that is opened under.
    """
    for name, text in found.items():
        db.execute(f"create view {schema}.{name} as {text}")
