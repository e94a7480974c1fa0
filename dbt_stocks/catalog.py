"""What the warehouse's catalog says of marts, in SQL that both engines understand.

Names are in lower case, as we write them: Snowflake keeps them in capitals.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

# In gold of Snowflake: which build it is (snowflake_publishing.py).
RECORD: Final = "published_build"
# dbt names what it is about to put in a model's place so; a killed run leaves them behind.
_NO_MARTS: Final = ("__dbt_tmp", "__dbt_backup", RECORD)


class Column(NamedTuple):
    """A column's name and type; precision and scale where it is a number."""

    name: str
    data_type: str
    precision: int | None
    scale: int | None


class Answer(Protocol):
    """The rows of a statement."""

    def fetchall(self) -> list[Any]:
        """Return them."""


class Session(Protocol):
    """An open warehouse; in a statement ``?`` stands for a parameter."""

    def execute(self, statement: str, parameters: Sequence[object] = ..., /) -> Answer:
        """Run one statement."""


def relations(db: Session, schema: str, database: str | None = None) -> list[tuple[str, str]]:
    """Return kind (table, view) and name of all there is in a schema, of another database too."""
    place = "lower(table_schema) = ? and table_catalog = coalesce(?, current_database())"
    rows = db.execute(
        "select 'table' as kind, lower(table_name) from information_schema.tables "  # noqa: S608 - texts of ours
        f"where {place} and table_type = 'BASE TABLE' union all "
        f"select 'view' as kind, lower(table_name) from information_schema.views where {place} "
        "order by 1 desc, 2",
        [schema, database, schema, database],
    ).fetchall()
    return [(kind, name) for kind, name in rows]


def tables(db: Session, schema: str, database: str | None = None) -> list[str]:
    """Return the marts of a schema that are tables; of another database when one is named."""
    found = relations(db, schema, database)
    return [name for kind, name in found if kind == "table" and not name.endswith(_NO_MARTS)]


def views(db: Session, schema: str, database: str | None = None) -> list[tuple[str, str]]:
    """Return the marts of a schema that are views, and the statements that made them."""
    rows = db.execute(
        "select lower(table_name), view_definition from information_schema.views "
        "where lower(table_schema) = ? and table_catalog = coalesce(?, current_database()) "
        "order by 1",
        [schema, database],
    ).fetchall()
    return [(name, sql) for name, sql in rows if not name.endswith(_NO_MARTS)]


def columns(db: Session, schema: str) -> dict[str, list[Column]]:
    """Return the columns, in order, of every table and view of a schema."""
    rows = db.execute(
        "select lower(table_name), lower(column_name), data_type, numeric_precision, numeric_scale "
        "from information_schema.columns "
        "where lower(table_schema) = ? and table_catalog = current_database() "
        "order by table_name, ordinal_position",
        [schema],
    ).fetchall()
    found: dict[str, list[Column]] = {}
    for table, *column in rows:
        found.setdefault(table, []).append(Column(*column))
    return found


def row_counts(db: Session, schema: str) -> dict[str, int]:
    """Return the rows of every table of a schema."""
    counts = [f"select '{name}', count(*) from {schema}.{name}" for name in tables(db, schema)]  # noqa: S608 - names of the catalog
    return {name: int(rows) for name, rows in ask_all(db, counts)}


def last_batch(db: Session) -> int:
    """Return the newest load batch that a raw table holds; 0 where nothing was loaded.

    What has no such column is no raw table: a loader's own for the time of a load, say.
    """
    raw = {
        table
        for table, found in columns(db, "common").items()
        if any(column.name == "batch_id" for column in found)
    }
    newest = [
        f"select max(batch_id) from common.{name}"  # noqa: S608 - names of the catalog
        for name in tables(db, "common")
        if name in raw
    ]
    return max((batch for (batch,) in ask_all(db, newest) if batch is not None), default=0)


def ask_all(db: Session, selects: Sequence[str]) -> list[Any]:
    """Ask for all in one statement: to a remote engine, each takes a while."""
    return db.execute(" union all ".join(selects)).fetchall() if selects else []


def stamped(schema: str, mart: str, build_id: str) -> str:
    """Return SQL of a mart's rows as a build shows them.

    Rows that an increment left alone were computed by an earlier build and belong to this one.
    """
    return f"select * replace ('{build_id}' as build_id) from {schema}.{mart}"  # noqa: S608


def quoted(path: Path) -> str:
    """Return a path as it stands between the quotes of an SQL text."""
    return str(path).replace("'", "''")


@contextmanager
def transaction(db: Session) -> Iterator[None]:
    """Do everything inside in one transaction, or nothing of it."""
    db.execute("begin")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")
