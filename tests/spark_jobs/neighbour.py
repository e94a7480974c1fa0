"""What runs beside the jobs, as a process of its own, until ``STATE/stop`` is there.

Usage: neighbour.py load|read|maintain STATE. Prints one JSON line: what it has seen.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.fs
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog

from ingestion import calendar, logs, pins
from ingestion.clock import SystemClock
from ingestion.load import lake as lake_files
from ingestion.load.duckdb_warehouse import open_warehouse
from ingestion.load.run import LAKE_TARGETS, load_lake
from ingestion.pins import Pins
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.context import JobContext
from spark_jobs.jobs import maintain
from tests.spark_jobs.folder_bronze import FolderBronze

# Longer than a scan takes here, shorter than the test.
_OLDER_THAN = timedelta(seconds=15)
_SCAN_S = 0.5


def catalog(state: Path) -> Catalog:
    return load_catalog("lake", type="sql", uri=f"sqlite:///{state}/catalog.db")


def until_stopped(state: Path, name: str, step: Callable[[], object]) -> None:
    """Take steps, the last one after the stop."""
    is_last = False
    while True:
        step()
        (state / f"{name}.stepped").touch()
        if is_last:
            return
        is_last = (state / "stop").exists()
        time.sleep(0.3)


def load(state: Path) -> dict[str, Any]:
    """Load as the command does, into a warehouse that knows nothing of upkeep."""
    source = catalog(state)

    def read(added: lake_files.Added) -> lake_files.TableFile:
        local = replace(added, file=added.file.replace("file:/", "file:///"))
        found = lake_files.read(pyarrow.fs.LocalFileSystem(), local)
        return lake_files.TableFile(added, found.rows)

    with open_warehouse(state / "warehouse.duckdb", lambda _: [], read, SystemClock()) as warehouse:
        mine = Pins(state / "pins", "one")
        until_stopped(state, "load", lambda: load_lake(warehouse, source, mine, lambda _: None))
        counts = "select count(*), count(distinct {}) from {}"
        keys = {"silver.bars": "event_id", "metrics.daily_stock_metrics": "(symbol, revision)"}
        return {
            name: list(warehouse._db.execute(counts.format(key, LAKE_TARGETS[name])).fetchone())
            for name, key in keys.items()
        }


def read(state: Path) -> dict[str, Any]:
    """Read the trades as slowly as a large scan: plan, and open the files a while later."""
    source, rows = catalog(state), []

    def scan() -> None:
        planned = [
            task.file.file_path for task in source.load_table("silver.trades").scan().plan_files()
        ]
        time.sleep(_SCAN_S)
        ids = [
            one
            for path in planned
            for one in pq.read_table(
                path.removeprefix("file:"), columns=["event_id"], partitioning=None
            )["event_id"].to_pylist()
        ]
        assert len(ids) == len(set(ids)), "a row was seen twice"
        rows.append(len(ids))

    until_stopped(state, "read", scan)
    return {"rows": rows}


def keep(state: Path) -> dict[str, Any]:
    """Keep the lake with times as short as no command takes them without force."""
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state / "maintain"),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db", driver_memory="512m"),
        master="local[1]",
        warehouse=f"file://{state}/warehouse",
    )
    names = ("silver.trades", "silver.bars", "metrics.daily_stock_metrics")
    grace = timedelta(minutes=10)
    options = maintain.Options(True, _OLDER_THAN, grace, force=True, tables=names)
    found = {"expired_snapshots": 0, "rewritten_files": 0}
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "1")
        context = JobContext(spark, FolderBronze(state / "bronze"), calendar.get(), SystemClock())

        def step() -> None:
            done = maintain.run(context, options, pins.read(state / "pins"))
            for one in done.tables.values():
                found["expired_snapshots"] += one.expired_snapshots
                found["rewritten_files"] += one.rewritten.files
            if done.tables["silver.trades"].expired_snapshots:
                (state / "expired").touch()

        until_stopped(state, "maintain", step)
    return found


if __name__ == "__main__":
    logs.configure()
    seen = {"load": load, "read": read, "maintain": keep}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(seen) + "\n")
