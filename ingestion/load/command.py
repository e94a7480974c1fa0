"""The command ``python -m ingestion load``."""

import functools
import json
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pyarrow.fs
import typer

from ingestion import lock
from ingestion.clock import SystemClock
from ingestion.load import duckdb_warehouse, lake
from ingestion.load.bronze import Bronze, store_client
from ingestion.load.model import Warehouse
from ingestion.load.run import TargetResult, load_lake, load_quotes
from ingestion.load.snowflake_cost import Bill, Cost, NoCost
from ingestion.pins import Pins
from ingestion.settings import (
    LakeSettings,
    SnowflakeSettings,
    StoreSettings,
    WarehouseEngine,
    WarehouseSettings,
)


def load(
    warehouse: Annotated[
        WarehouseEngine | None, typer.Option(help="Which; WAREHOUSE_ENGINE by default.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Also write the counts to this file as JSON.")
    ] = None,
) -> None:
    """Load what bronze (quotes) and the lake hold beyond the warehouse's ledger.

    Each batch is one transaction of rows and ledger entries; running it again loads what is new.
    """
    settings = WarehouseSettings.load()
    engine = warehouse or settings.engine
    place = SnowflakeSettings.load() if engine == "snowflake" else settings
    with lock.held(place.lock(), settings.lock_timeout_s, _say):
        results, cost = _load_all(place)
    if cost is not None:
        typer.echo(cost.line(sum(r.loaded.files for r in results), sum(r.bytes for r in results)))
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(_summary(results, cost), indent=2) + "\n")


def _load_all(
    place: WarehouseSettings | SnowflakeSettings,
) -> tuple[list[TargetResult], Cost | NoCost | None]:
    store, lakes = StoreSettings.load(), LakeSettings.load()
    catalog = lake.open_catalog(lakes, store)
    pins = Pins(lakes.pins(), place.name())
    bronze = Bronze(store_client(store), store.bronze_bucket)
    with _open_warehouse(place, bronze, lake.filesystem(store)) as warehouse:
        quotes = load_quotes(warehouse, bronze)
        _print(quotes)
        results = [quotes, *load_lake(warehouse, catalog, pins, _print)]
        return results, warehouse.cost()


def _open_warehouse(
    place: WarehouseSettings | SnowflakeSettings, bronze: Bronze, files: pyarrow.fs.FileSystem
) -> AbstractContextManager[Warehouse]:
    if isinstance(place, SnowflakeSettings):
        return _open_snowflake(place, bronze, files)
    read_rows = functools.partial(lake.read, files)
    return duckdb_warehouse.open_warehouse(place.file(), bronze.read, read_rows, SystemClock())


def _open_snowflake(
    settings: SnowflakeSettings, bronze: Bronze, files: pyarrow.fs.FileSystem
) -> AbstractContextManager[Warehouse]:
    # Its connector takes as long to import as the rest of this command.
    import ingestion.snowflake  # noqa: F401 - the first to import it: a warning is kept away there
    from ingestion.load.snowflake_stage import Source
    from ingestion.load.snowflake_warehouse import open_warehouse
    from ingestion.snowflake.connection import connection
    from ingestion.snowflake.scripts import has_external

    tag = "load"
    source = Source(
        "external" if has_external(settings) else "internal",
        bronze.describe,
        bronze.read,
        functools.partial(lake.open_file, files),
    )
    connect = functools.partial(connection, settings, "loader", tag)
    bill = Bill(settings.warehouse("loader"), settings.credit_price)
    return open_warehouse(connect, source, SystemClock(), f"{settings.query_tag}:{tag}", bill)


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


def _summary(results: list[TargetResult], cost: Cost | NoCost | None) -> dict[str, object]:
    return {
        "targets": {
            r.target: asdict(r.loaded)
            | {"bytes": r.bytes, "seconds": round(r.seconds, 3), "ends": r.ends}
            for r in results
        },
        "files": sum(r.loaded.files for r in results),
        "rows": sum(r.loaded.rows for r in results),
        "rejected": sum(r.loaded.rejected for r in results),
        "bytes": sum(r.bytes for r in results),
        "cost": cost.report() if cost else None,
    }
