"""What the catalog says of the warehouse's raw tables."""

import duckdb

from dbt_stocks import catalog


def test_a_table_without_batches_is_no_raw_table() -> None:
    """Such as a loader's own, which the emulator keeps after its session."""
    with duckdb.connect() as db:
        db.execute("create schema common; create table common.loading_files (file varchar)")
        assert catalog.last_batch(db) == 0
        db.execute("create table common.a_raw as select 3 as batch_id")
        db.execute("create table common.b_raw as select 5 as batch_id")
        assert catalog.last_batch(db) == 5
