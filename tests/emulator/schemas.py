"""CREATE SCHEMA … CLONE, ALTER SCHEMA … SWAP WITH, WITH MANAGED ACCESS: fakesnow has none of them.

DuckDB cannot rename a schema. So a clone is copied, and a swap is played as three copies; each is
one transaction of DuckDB's, which other sessions see whole or not at all. A view is made anew by
its text: names without a schema are those of the view's own, as in Snowflake.
"""

import re
from collections.abc import Callable

from duckdb import DuckDBPyConnection

_CLONE = re.compile(
    r"\s*create\s+(?P<replace>or\s+replace\s+)?(?:transient\s+)?schema\s+(?P<new>\w+)"
    r"\s+clone\s+(?P<old>\w+)(?:\s+data_retention_time_in_days\s*=\s*\d+)?\s*",
    re.IGNORECASE,
)
_SWAP = re.compile(r"\s*alter\s+schema\s+(?P<one>\w+)\s+swap\s+with\s+(?P<other>\w+)\s*", re.I)
_MANAGED = re.compile(
    r"(?P<made>\s*create\s+schema\s+if\s+not\s+exists\s+\S+)\s+with\s+managed\s+access\b",
    re.IGNORECASE,
)
_VIEW = re.compile(r"\ACREATE VIEW \S+", re.IGNORECASE)
_BETWEEN = "_FS_SWAPPED"


def run(command: str, db: DuckDBPyConnection, database: str) -> bool:
    """Run a statement that clones or swaps schemas; return whether it was one."""
    if found := _CLONE.fullmatch(command):
        new, old = found["new"].upper(), found["old"].upper()
        if found["replace"]:
            db.execute(f'drop schema if exists {database}."{new}" cascade')
        _at_once(db, lambda: _clone(db, database, old, new))
        return True
    if found := _SWAP.fullmatch(command):
        one, other = found["one"].upper(), found["other"].upper()
        _at_once(db, lambda: _swap(db, database, one, other))
        db.execute(f"drop schema {database}.{_BETWEEN} cascade")
        return True
    return False


def unmanaged(command: str) -> str:
    """Return a statement that makes a schema without its managed access: there are no rights."""
    return _MANAGED.sub(lambda found: found["made"], command)


def _at_once(db: DuckDBPyConnection, act: Callable[[], None]) -> None:
    db.execute("begin")
    try:
        act()
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def _clone(db: DuckDBPyConnection, database: str, old: str, new: str) -> None:
    db.execute(f"create schema {database}.{new}")
    _copy(db, database, old, new)


def _swap(db: DuckDBPyConnection, database: str, one: str, other: str) -> None:
    _clone(db, database, one, _BETWEEN)
    _copy(db, database, other, one)
    _copy(db, database, _BETWEEN, other)


def _copy(db: DuckDBPyConnection, database: str, old: str, new: str) -> None:
    """Make a schema hold what another one does, and nothing else."""
    tables, views = _tables(db, database, old), _views(db, database, old)
    for name in _views(db, database, new).keys() - views.keys():
        db.execute(f"drop view {database}.{new}.{name}")
    for name in set(_tables(db, database, new)) - set(tables):
        db.execute(f"drop table {database}.{new}.{name}")
    for name in tables:
        db.execute(
            f"create or replace table {database}.{new}.{name} as from {database}.{old}.{name}"
        )
    for name, sql in views.items():
        made = f"create or replace view {database}.{new}.{name}"
        db.execute(_VIEW.sub(lambda _, made=made: made, sql))


def _tables(db: DuckDBPyConnection, database: str, schema: str) -> list[str]:
    rows = db.execute(
        "select table_name from duckdb_tables() where database_name = ? and schema_name = ?",
        [database, schema],
    ).fetchall()
    return [name for (name,) in rows]


def _views(db: DuckDBPyConnection, database: str, schema: str) -> dict[str, str]:
    rows = db.execute(
        "select view_name, sql from duckdb_views() where database_name = ? and schema_name = ?",
        [database, schema],
    ).fetchall()
    return dict(rows)
