"""Gold as it stood: a past moment's raw tables in a warehouse of their own, built and published.

Nothing of the project's warehouse is touched, and no model knows of it: the same SQL runs on the
raw rows that were there. Two notions of "there":

- a **build**: the rows of the load batches that it had seen. Its gold comes out as it was
  published, to the last row, as long as models, rules and seeds are what they were.
- a **moment**: the rows known by then, whenever they were loaded. What arrived late and had been
  known in time is in it: this is what a strategy could have known, not what a screen has shown.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb

from dbt_stocks import books, catalog, files, gate, publishing
from dbt_stocks.books import Build
from dbt_stocks.gate import Report, Request
from dbt_stocks.place import Place, Say
from ingestion import lock
from ingestion.clock import Clock
from ingestion.errors import BuildError
from ingestion.settings import WarehouseSettings

_COMMON = "common"
# From the columns of a raw table to the SQL of the rows that count.
Condition = Callable[[set[str]], str]


def of_build(build_id: str, into: Path, report: Report, clock: Clock, say: Say) -> Path:
    """Build gold again as a build published it, and return the new folder of published files.

    Raises:
        BuildError: no such build was published, it did not see whole load batches, or ``into``
            is in use.
    """
    settings = WarehouseSettings.load()
    with (
        lock.held(settings.lock(), settings.lock_timeout_s, say),
        publishing.open_gold(settings.file(), settings.published()) as gold,
    ):
        build = books.find(gold.db, build_id)
        batch = _batch(build)
        _copy(gold.db, into, lambda _: f"batch_id <= {batch}")
    now = build.as_of.isoformat() if build.as_of else None
    return _build(Request(build_id, full_refresh=True, now=now), into, report, clock, say)


def of_moment(moment: datetime, into: Path, report: Report, clock: Clock, say: Say) -> Path:
    """Build gold of what was known at a moment (UTC), and return the folder of published files.

    Raises:
        BuildError: ``into`` is in use, or there is no warehouse.
    """
    settings, text = WarehouseSettings.load(), books.naive(moment).isoformat()
    with (
        lock.held(settings.lock(), settings.lock_timeout_s, say),
        publishing.open_gold(settings.file(), settings.published()) as gold,
    ):
        _copy(gold.db, into, lambda names: _known_by(names, text))
    request = Request(report.build_id, full_refresh=True, now=text)
    return _build(request, into, report, clock, say)


def _batch(build: Build) -> int:
    if build.load_batch_id is None:
        raise BuildError(
            f"expected a build of everything that was loaded, found {build.build_id}: more was "
            "loaded before it was published, or it is of before this was written down"
        )
    return build.load_batch_id


def _known_by(columns: set[str], moment: str) -> str:
    """Return the condition of raw rows that were known at a moment.

    A quote is known when it was fetched, everything else states ``as_of``. What was refused states
    no time and is no part of gold.
    """
    if "v" in columns:
        fetched = "cast(v['value']['fetched_at'] as varchar)"
        return f"try_cast({fetched} as timestamp) <= timestamp '{moment}'"
    return f"as_of <= timestamp '{moment}'" if "as_of" in columns else "false"


def _copy(db: duckdb.DuckDBPyConnection, into: Path, condition: Condition) -> None:
    warehouse = _warehouse(into)
    if warehouse.exists():
        raise BuildError(f"expected a folder without a warehouse, found {warehouse}")
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    temporary = warehouse.with_name(f".{warehouse.name}.tmp")
    files.remove(temporary)
    db.execute(f"attach '{catalog.quoted(temporary)}' as past")
    try:
        db.execute(f"create schema past.{_COMMON}")
        listed = catalog.columns(db, _COMMON)
        for table in catalog.tables(db, _COMMON):
            columns = {column.name for column in listed[table]}
            db.execute(
                f"create table past.{_COMMON}.{table} as "
                f"from {_COMMON}.{table} where {condition(columns)}"
            )
        db.execute("checkpoint past")
    finally:
        db.execute("detach past")
    temporary.replace(warehouse)


def _build(request: Request, into: Path, report: Report, clock: Clock, say: Say) -> Path:
    paths = {"path": _warehouse(into), "gold_dir": into.absolute() / "gold"}
    settings = WarehouseSettings.load().model_copy(update=paths)
    warehouse = publishing.DuckDBWarehouse(settings)
    gate.build(request, report, clock, say, Place(warehouse, into.absolute() / "dbt"))
    return settings.published()


def _warehouse(into: Path) -> Path:
    return into.absolute() / "warehouse" / "stocks_mds.duckdb"
