"""Which data files of the lake are news, and how their rows come out."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.fs
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from ingestion.errors import LoadError
from ingestion.load import lake
from ingestion.load.model import Ledger
from ingestion.settings import LakeSettings, StoreSettings
from tests.ingestion.load.lake import bars, bars_table

NOTHING = Ledger(frozenset(), frozenset())


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    warehouse = tmp_path / "lake"
    warehouse.mkdir()
    return load_catalog(
        "lake", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{warehouse}"
    )


@pytest.fixture
def table(catalog: Catalog) -> Table:
    return bars_table(catalog)


def taken(found: lake.News, before: Ledger = NOTHING) -> Ledger:
    """Return the ledger after all of ``found`` has been loaded."""
    added = {added.snapshot_id for added in found.files if not added.is_base}
    snapshots = added | ({found.head} - {None})
    return Ledger(
        before.files | {added.file for added in found.files},
        before.snapshots | frozenset(snapshot for snapshot in snapshots if snapshot is not None),
    )


def head(table: Table) -> int:
    found = table.current_snapshot()
    assert found is not None
    return found.snapshot_id


def expire(table: Table, snapshots: list[int]) -> None:
    table.maintenance.expire_snapshots().by_ids(snapshots).commit()
    table.refresh()


@pytest.fixture
def rewritten(table: Table) -> Table:
    """Two commits, their rows in another file since, all of it expired; then one commit more."""
    table.append(bars("AAPL"))
    table.append(bars("IBM"))
    table.overwrite(bars("AAPL", "IBM"))
    old = [s.snapshot_id for s in table.snapshots() if s.snapshot_id != head(table)]
    expire(table, old)
    table.append(bars("MSFT"))
    return table


def test_a_first_load_takes_what_expired_snapshots_had_added(rewritten: Table) -> None:
    found = lake.news(rewritten, NOTHING)

    assert [(added.records, added.is_base) for added in found.files] == [(2, True), (1, False)]
    assert found.since == found.files[0].snapshot_id != found.head == head(rewritten)
    assert lake.news(rewritten, taken(found)) == lake.News([], None, found.head)


def test_a_first_load_that_was_interrupted_goes_on(rewritten: Table) -> None:
    base, last = lake.news(rewritten, NOTHING).files
    begun = Ledger(frozenset({base.file}), frozenset())
    rewritten.append(bars("JPM"))

    found = lake.news(rewritten, begun)

    assert found.files[0] == last
    assert [added.records for added in found.files] == [1, 1]


def test_a_first_load_whose_files_are_gone_says_so(rewritten: Table) -> None:
    begun = Ledger(frozenset({"s3://lake/rewritten-since.parquet"}), frozenset())

    with pytest.raises(LoadError, match="1 of its files are no longer in snapshot"):
        lake.news(rewritten, begun)


def test_an_empty_table_is_no_news(table: Table) -> None:
    assert lake.news(table, NOTHING) == lake.News([], None, None)


def test_snapshots_come_oldest_first_with_their_record_counts(table: Table) -> None:
    table.append(bars("AAPL", "IBM"))
    table.append(bars("MSFT"))

    found = lake.news(table, NOTHING)

    assert [added.records for added in found.files] == [2, 1]
    assert found.head == table.current_snapshot().snapshot_id


def test_only_what_came_after_the_last_load_is_news(table: Table) -> None:
    table.append(bars("AAPL"))
    ledger = taken(lake.news(table, NOTHING))
    first = head(table)
    assert lake.news(table, ledger) == lake.News([], None, first)

    table.append(bars("IBM"))
    found = lake.news(table, ledger)

    assert [added.records for added in found.files] == [1]
    assert found.since == first
    assert lake.news(table, taken(found, ledger)) == lake.News([], None, head(table))


def test_a_batch_that_ended_inside_a_snapshot_goes_on_there(table: Table) -> None:
    table.append(bars("AAPL"))
    table.append(bars("IBM"))
    first, second = lake.news(table, NOTHING).files
    half = Ledger(frozenset({first.file}), frozenset({first.snapshot_id}))

    assert lake.news(table, half).files == [second]


def test_rewritten_rows_are_refused_and_compaction_is_no_news(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.append(bars("AAPL", "IBM"))
    ledger = taken(lake.news(table, NOTHING))
    table.delete("symbol == 'IBM'")

    with pytest.raises(LoadError, match="expected appended rows only, found snapshot"):
        lake.news(table, ledger)

    now = table.current_snapshot()
    replaced = Snapshot(**dict(now) | {"summary": Summary(Operation.REPLACE)})
    monkeypatch.setattr(table, "current_snapshot", lambda: replaced)
    assert lake.news(table, ledger) == lake.News(
        [], replaced.snapshot_id, replaced.parent_snapshot_id
    )


def test_a_lost_history_is_an_error_and_not_a_second_load(table: Table) -> None:
    table.append(bars("AAPL"))
    elsewhere = Ledger(frozenset(), frozenset({1}))

    with pytest.raises(LoadError, match="expected the last loaded snapshot among the ancestors"):
        lake.news(table, elsewhere)


def test_rows_come_out_exact_and_in_utc_without_a_zone(table: Table) -> None:
    table.append(bars("AAPL"))
    added = lake.news(table, NOTHING).files[0]

    found = lake.read(pyarrow.fs.LocalFileSystem(), added)

    row = found.rows.to_pylist()[0]
    assert row["event_at"] == datetime(2013, 3, 1, 14, 30, tzinfo=UTC).replace(tzinfo=None)
    assert str(row["open"]) == "34.099998474121094000"


def test_a_table_that_no_job_has_made_yet_is_none(catalog: Catalog) -> None:
    assert lake.open_table(catalog, "silver.bars") is None


def test_a_missing_catalog_says_what_makes_it(tmp_path: Path) -> None:
    settings = LakeSettings(catalog_uri=f"sqlite:///{tmp_path}/none.db")
    store = StoreSettings(loader_access_key="k", loader_secret_key="s")

    with pytest.raises(LoadError, match="found no file: run `python -m spark_jobs"):
        lake.open_catalog(settings, store)

    assert not (tmp_path / "none.db").exists()
