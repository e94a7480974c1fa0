"""Published gold of two worlds, compared value by value."""

import math
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb

# Its rows tell of the builds themselves, or of when they were looked at.
OF_THE_BUILD: Final = ("gold_dq_scorecard",)
# By which build and batch a row came, and when: worlds that were filled differently differ here.
_OF_THE_WAY: Final = (
    *("build_id", "load_batch_id", "batch_id", "last_loaded_at", "ingestion_time"),
    *("last_updated", "computed_at", "processing_time"),
)
# Sums are taken in the order of the increments; what is wrong differs by more.
_TOLERANCE: Final = 1e-9
_TABLES: Final = "select table_name from duckdb_tables() where schema_name = 'gold'"
# What is exact comes first: the rows are put in its order, every key among it.
_COLUMNS: Final = """
select column_name, data_type <> 'DOUBLE' as is_exact
from duckdb_columns()
where schema_name = 'gold' and table_name = ?
order by not is_exact, column_index
"""


class Mart(NamedTuple):
    """A table's columns but those that tell of the way to it, and its rows in order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs between two published files, a line for each table that does."""
    with (
        duckdb.connect(one, read_only=True) as mine,
        duckdb.connect(other, read_only=True) as theirs,
    ):
        left, right = _tables(mine), _tables(theirs)
        found = [f"{name} is in one of them only" for name in sorted(left ^ right)]
        for name in sorted(left & right):
            if told := _difference(_mart(mine, name), _mart(theirs, name)):
                found.append(f"{name}: {told}")
    return found


def _tables(db: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in db.execute(_TABLES).fetchall()} - set(OF_THE_BUILD)


def _mart(db: duckdb.DuckDBPyConnection, name: str) -> Mart:
    found = db.execute(_COLUMNS, [name]).fetchall()
    kept = [(column, is_exact) for column, is_exact in found if column not in _OF_THE_WAY]
    columns = [column for column, _ in kept]
    places = ", ".join(str(n + 1) for n in range(sum(is_exact for _, is_exact in kept)))
    sql = f'select {", ".join(columns)} from gold."{name}" order by {places}'  # noqa: S608 - names of the catalog
    return Mart(columns, db.execute(sql).fetchall())


def _difference(one: Mart, other: Mart) -> str:
    if one.columns != other.columns:
        return "other columns"
    if len(one.rows) != len(other.rows):
        return f"{len(one.rows)} rows, {len(other.rows)} in the other"
    found = [
        f"{column} {left!r}, {right!r} in the other"
        for row, twin in zip(one.rows, other.rows, strict=True)
        for column, left, right in zip(one.columns, row, twin, strict=True)
        if not _same(left, right)
    ]
    return f"{len(found)} values, such as {found[0]}" if found else ""


def _same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return left == right
