"""The raw tables have the lake's columns, before a load has brought the first row of one."""

from collections.abc import Iterator

import duckdb
import pytest

from ingestion.load import duckdb_warehouse
from ingestion.load.run import LAKE_TARGETS
from spark_jobs.schemas import COMPACTED, METRICS, TRADES, Table

KINDS = {"string": "VARCHAR", "int": "INTEGER"}
LOADS_OWN = {
    "file": "VARCHAR",
    "snapshot_id": "BIGINT",
    "loaded_at": "TIMESTAMP",
    "batch_id": "BIGINT",
}
LAKE = {f"{table.namespace}.{table.name}": table for table in (*COMPACTED, *METRICS)}


@pytest.fixture(scope="module")
def made() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as db:
        db.execute(duckdb_warehouse._DDL.read_text())
        yield db


def test_every_table_that_jobs_make_is_loaded_but_trades() -> None:
    assert LAKE_TARGETS.keys() == LAKE.keys() - {f"{TRADES.namespace}.{TRADES.name}"}


@pytest.mark.parametrize("name", LAKE_TARGETS)
def test_a_raw_table_has_the_columns_of_the_lake_s(
    made: duckdb.DuckDBPyConnection, name: str
) -> None:
    found = made.execute(
        f"select column_name, column_type from (describe {LAKE_TARGETS[name]})"
    ).fetchall()

    assert dict(found) == expected(LAKE[name]) | LOADS_OWN


def expected(table: Table) -> dict[str, str]:
    return {name: KINDS.get(kind, kind.upper()) for name, kind in table.columns.items()}
