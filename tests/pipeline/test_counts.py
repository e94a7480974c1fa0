"""Counting a real warehouse file, also one that another process has open."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from ingestion.errors import LoadError, WarehouseLockedError
from ingestion.settings import WarehouseSettings
from pipeline import counts
from pipeline.counts import Counts

_SQL = """
create schema silver; create schema gold; create schema common; create schema verdicts;
create table silver.silver_bars as select * from range(7);
create table silver.silver_quotes as select * from range(2);
create view gold.gold_kpi as select * from range(3);
create table common.rejects_raw as
    select unnest(['duplicate', 'duplicate', 'contract']) as reason;
create table verdicts.silver_quotes_deduplicated as select * from range(4);
"""
_WRITER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""
_LOCKER = """
import sys, filelock
with filelock.FileLock(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def warehouse(state: Path) -> Path:
    path = WarehouseSettings.load().file()
    path.parent.mkdir(parents=True)
    return path


def build(path: Path, sql: str = _SQL) -> None:
    with duckdb.connect(path) as db:
        db.execute(sql)


@contextmanager
def holder(program: str, path: Path) -> Iterator[int]:
    """Another process that has ``path`` until the end; its number."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    with process:
        assert process.stdout.readline() == b"open\n"
        yield process.pid
        process.stdin.close()


def test_relations_of_silver_and_gold_and_all_copies_are_counted(warehouse: Path) -> None:
    build(warehouse)

    found = counts.read()

    assert found == Counts({"silver_bars": 7, "silver_quotes": 2}, {"gold_kpi": 3}, 2 + 4)


def test_no_warehouse_and_one_that_was_never_built_hold_nothing(warehouse: Path) -> None:
    assert counts.read() == Counts({}, {}, 0)
    build(warehouse, "create schema common")
    assert counts.read() == Counts({}, {}, 0)


def test_a_warehouse_that_another_process_writes_is_told_in_one_line_with_that_process(
    warehouse: Path,
) -> None:
    build(warehouse)

    with holder(_WRITER, warehouse) as pid, pytest.raises(WarehouseLockedError) as caught:
        counts.read()

    assert str(warehouse) in str(caught.value)
    assert f"PID {pid}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert counts.read().deduplicated == 6, "free again, and our own lock was given back"


def test_a_file_that_is_no_warehouse_is_told_as_that(warehouse: Path) -> None:
    warehouse.write_bytes(b"something else " * 1000)

    with pytest.raises(LoadError, match="not a valid DuckDB database") as caught:
        counts.read()

    assert str(warehouse) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_waiting_for_the_project_lock_is_said_and_ends(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(warehouse)
    monkeypatch.setenv("WAREHOUSE_LOCK_TIMEOUT_S", "0.1")
    lock = WarehouseSettings.load().lock()
    said: list[str] = []

    with holder(_LOCKER, lock), pytest.raises(WarehouseLockedError, match="held by another"):
        counts.read(said.append)

    assert [str(lock) in line for line in said] == [True]
