"""Which targets are loaded, in which order, from where."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pyiceberg.catalog import Catalog

from ingestion.contracts.topics import QUOTES
from ingestion.load.bronze import Bronze
from ingestion.load.lake import lake_errors, news, open_table
from ingestion.load.model import MAX_BYTES, MAX_FILES, Added, Listed, Loaded, Warehouse
from ingestion.pins import Pins

File = TypeVar("File", Listed, Added)

QUOTES_TARGET = "common.bronze_stock_quotes_raw"
# Lake table -> raw table. Trades stay in the lake: nothing in the warehouse reads them one by one.
LAKE_TARGETS = {
    "silver.bars": "common.bars_raw",
    "silver.corporate_actions": "common.corporate_actions_raw",
    "silver.rejects": "common.rejects_raw",
    "metrics.daily_stock_metrics": "common.daily_stock_metrics_raw",
    "metrics.realtime_stock_analytics": "common.realtime_stock_analytics_raw",
    "metrics.trade_bars": "common.trade_bars_raw",
    "metrics.anomalies": "common.anomalies_raw",
}


@dataclass(frozen=True)
class TargetResult:
    """What one target took: files and rows, the files' bytes as stored, and seconds.

    ``ends``: of a topic whose objects it took, the offset behind them, by
    ``topic/generation/partition``.
    """

    target: str
    loaded: Loaded
    seconds: float
    note: str = ""
    bytes: int = 0
    ends: dict[str, int] = field(default_factory=dict)


def load_quotes(warehouse: Warehouse, bronze: Bronze) -> TargetResult:
    """Load the quotes topic's bronze objects beyond the ledger."""
    started = time.monotonic()
    listed = bronze.beyond(QUOTES, warehouse.last_keys(QUOTES_TARGET))
    loaded = Loaded()
    for batch in batches(listed):
        loaded += warehouse.load_lines(QUOTES_TARGET, batch)
    seconds = time.monotonic() - started
    return TargetResult(
        QUOTES_TARGET, loaded, seconds, bytes=_size(listed), ends=bronze.ends(listed)
    )


def load_lake(
    warehouse: Warehouse, catalog: Catalog, pins: Pins, report: Callable[[TargetResult], None]
) -> list[TargetResult]:
    """Load every lake table's files beyond the ledger, and report each target when it is done."""
    results = []
    for name, target in LAKE_TARGETS.items():
        with lake_errors():
            results.append(_load_table(warehouse, catalog, pins, name, target))
        report(results[-1])
    return results


def batches(files: list[File]) -> Iterator[list[File]]:
    """Cut a list of files into lists of at most 1,000 files and 32 MiB of stored bytes."""
    batch: list[File] = []
    size = 0
    for found in files:
        if batch and (len(batch) == MAX_FILES or size + found.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(found)
        size += found.size
    if batch:
        yield batch


def _load_table(
    warehouse: Warehouse, catalog: Catalog, pins: Pins, name: str, target: str
) -> TargetResult:
    started = time.monotonic()
    table = open_table(catalog, name)
    if table is None:
        return TargetResult(target, Loaded(), time.monotonic() - started, f"no {name} yet")
    found = news(table, warehouse.ledger(target))
    # Before the first batch: a load that dies half-way finds what it had begun with.
    pins.set(name, found.since)
    loaded = Loaded()
    lists = list(batches(found.files)) or ([[]] if found.head is not None else [])
    for number, batch in enumerate(lists, start=1):
        head = found.head if number == len(lists) else None
        loaded += warehouse.load_rows(target, batch, head)
    pins.set(name, found.head)
    seconds = time.monotonic() - started
    return TargetResult(target, loaded, seconds, bytes=_size(found.files))


def _size(files: Sequence[Listed] | Sequence[Added]) -> int:
    return sum(found.size for found in files)
