"""Published gold without dbt: every table of the contract, filled with what is hard to carry."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from dashboards import contract
from dashboards.contract import Column, Table
from dbt_stocks import files
from dbt_stocks.books import Build

# In March 2013 this hour is not there in New York, and in Tokyo it is another day.
MOMENT = datetime(2013, 3, 10, 2, 30, 0, 123456)  # noqa: DTZ001 - as DuckDB has it
TEXTS = ("plain", "", 'a "quoted", one', "two\nlines\r\n", "\\N", "\\.", "ünï ✓ 中", "NULL")
ROWS = len(TEXTS)
TABLES = contract.load().tables


def publish(folder: Path, number: int, tables: Sequence[Table] = (), rows: int = ROWS) -> str:
    """Write and show build ``b<number>``: its tables (all by default), each of so many rows."""
    folder.mkdir(exist_ok=True)
    build_id = f"b{number}"
    with _opened(folder, build_id) as db:
        db.execute("create schema gold; create schema ops")
        for table in tables or TABLES.values():
            fill(db, "gold", table, build_id, rows)
        moment = datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None) + timedelta(minutes=number)
        build = Build(build_id, moment, moment, moment, "a note", None, number)
        build.record_in(db, "ops.builds")
    files.point(folder, build_id)
    return build_id


@contextmanager
def _opened(folder: Path, build_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(files.path_of(folder, build_id)) as db:
        yield db


def fill(
    db: duckdb.DuckDBPyConnection, schema: str, table: Table, build_id: str, rows: int = ROWS
) -> None:
    """Make a table, or a view of rows that are in schema ops, with so many rows."""
    columns = table.columns.values()
    made = ", ".join(f'"{c.name}" {c.type_in("duckdb")}' for c in columns)
    stored = f"{'ops' if table.kind == 'view' else schema}.{table.name}"
    db.execute(f"create or replace table {stored} ({made})")
    marks = ", ".join(["(" + ", ".join("?" * len(table.columns)) + ")"] * rows)
    values = [
        build_id if c.name == "build_id" else value(c, n, c.name in table.key)
        for n in range(rows)
        for c in columns
    ]
    db.execute(f"insert into {stored} values {marks}", values)
    if table.kind == "view":
        db.execute(f"create view {schema}.{table.name} as select * from {stored}")


def value(column: Column, n: int, is_key: bool) -> Any:
    """Return the value of a column in row ``n``; NULL in every third one where it may be."""
    if column.nullable and not is_key and n % 3 == 0:
        return None
    if column.type == "varchar":
        return f"{n}{TEXTS[n % ROWS]}" if is_key else TEXTS[n % ROWS]
    if column.type.startswith("decimal"):
        scale = int(column.type.rstrip(")").split(",")[1])
        return Decimal(10**17 - 1 - n).scaleb(-scale)
    return {
        "boolean": n % 2 == 0,
        "integer": -n,
        "bigint": 2**53 + 1 + n,
        "double": (0.1 + 0.2, float("nan"), float("-inf"), 5e-324)[n % 4],
        "date": date(2013, 3, 10) + timedelta(days=n),
        "timestamp": MOMENT + timedelta(days=n),
    }[column.type]
