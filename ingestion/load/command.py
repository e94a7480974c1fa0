"""The command ``python -m ingestion load``."""

import functools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingestion import lock
from ingestion.clock import SystemClock
from ingestion.load import lake
from ingestion.load.bronze import Bronze, store_client
from ingestion.load.duckdb_warehouse import open_warehouse
from ingestion.load.run import TargetResult, load_lake, load_quotes
from ingestion.pins import Pins
from ingestion.settings import LakeSettings, StoreSettings, WarehouseSettings


def load(
    report: Annotated[
        Path | None, typer.Option(help="Also write the counts to this file as JSON.")
    ] = None,
) -> None:
    """Load what bronze (quotes) and the lake hold beyond the warehouse's ledger.

    Each batch is one transaction of rows and ledger entries; running it again loads what is new.
    """
    warehouse = WarehouseSettings.load()
    with lock.held(warehouse.lock(), warehouse.lock_timeout_s, _say):
        results = _load_all(warehouse)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(_summary(results), indent=2) + "\n")


def _load_all(settings: WarehouseSettings) -> list[TargetResult]:
    store, lakes = StoreSettings.load(), LakeSettings.load()
    catalog = lake.open_catalog(lakes, store)
    pins = Pins(lakes.pins(), settings.name())
    bronze = Bronze(store_client(store), store.bronze_bucket)
    read_rows = functools.partial(lake.read, lake.filesystem(store))
    with open_warehouse(settings.file(), bronze.read, read_rows, SystemClock()) as warehouse:
        quotes = load_quotes(warehouse, bronze)
        _print(quotes)
        return [quotes, *load_lake(warehouse, catalog, pins, _print)]


def _print(result: TargetResult) -> None:
    loaded = result.loaded
    note = f"  ({result.note})" if result.note else ""
    rejected = f"  {loaded.rejected} lines rejected" if loaded.rejected else ""
    typer.echo(
        f"{result.target:<42} {loaded.files:>6} files {loaded.rows:>9} rows "
        f"{result.seconds:>6.2f} s{rejected}{note}"
    )


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _summary(results: list[TargetResult]) -> dict[str, object]:
    return {
        "targets": {
            r.target: asdict(r.loaded) | {"seconds": round(r.seconds, 3), "ends": r.ends}
            for r in results
        },
        "files": sum(r.loaded.files for r in results),
        "rows": sum(r.loaded.rows for r in results),
        "rejected": sum(r.loaded.rejected for r in results),
    }
