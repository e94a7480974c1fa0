"""What a lake holds, read with another library than it was written with."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from ingestion.settings import StoreSettings

COMPACTED: Final = ("silver.bars", "silver.corporate_actions", "silver.trades", "silver.rejects")
METRICS: Final = (
    *("metrics.daily_stock_metrics", "metrics.realtime_stock_analytics"),
    *("metrics.trade_bars", "metrics.anomalies"),
)
# When a job ran is its own; all else two lakes of one bronze share.
_OWN: Final = {"compacted_at", "computed_at"}
_POSITIONS: Final = "tapehouse.positions"

Rows = Counter[tuple[str, ...]]


class Lake:
    """One lake: a catalog file, and tables in the stack's store."""

    def __init__(self, catalog: Path) -> None:
        store = StoreSettings.load()
        access, secret = store.keys("auditor")
        self._properties = {
            "uri": f"sqlite:///{catalog}",
            "init_catalog_tables": "false",
            "s3.endpoint": store.url(),
            "s3.region": store.region,
            "s3.access-key-id": access,
            "s3.secret-access-key": secret,
        }

    def rows(self, names: tuple[str, ...]) -> dict[str, Rows]:
        """Return the multiset of each table's rows."""
        with closing(SqlCatalog("lake", **self._properties)) as catalog:
            return {name: _rows(catalog.load_table(name)) for name in names}

    def positions(self) -> dict[str, dict[str, Any]]:
        """Return the position that each compacted table's newest commit with one carries."""
        with closing(SqlCatalog("lake", **self._properties)) as catalog:
            return {name: _position(catalog.load_table(name)) for name in COMPACTED}

    def plain(self, name: str) -> list[dict[str, Any]]:
        """Return a table's rows."""
        with closing(SqlCatalog("lake", **self._properties)) as catalog:
            found: list[dict[str, Any]] = catalog.load_table(name).scan().to_arrow().to_pylist()
            return found

    def told(self, name: str, about: str) -> list[str]:
        """Return what a table's commits carry under a property, the newest first."""
        with closing(SqlCatalog("lake", **self._properties)) as catalog:
            return [*_ancestry(catalog.load_table(name), about)]


def _rows(table: Table) -> Rows:
    columns = [field.name for field in table.schema().fields if field.name not in _OWN]
    found = table.scan(selected_fields=tuple(columns)).to_arrow()
    lists = (found.column(name).to_pylist() for name in columns)
    return Counter(tuple(str(value) for value in row) for row in zip(*lists, strict=True))


def _position(table: Table) -> dict[str, Any]:
    for text in _ancestry(table, _POSITIONS):
        return dict(json.loads(text))
    return {}


def _ancestry(table: Table, about: str) -> Iterator[str]:
    snapshot = table.current_snapshot()
    while snapshot is not None:
        if snapshot.summary and about in snapshot.summary.additional_properties:
            yield snapshot.summary.additional_properties[about]
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None


def differences(mine: dict[str, Rows], other: dict[str, Rows]) -> list[str]:
    """Return in words what one lake has and the other has not; nothing where they are the same."""
    said = []
    for name, rows in mine.items():
        more, less = rows - other[name], other[name] - rows
        if more or less:
            example = next(iter(more or less))[:4]
            said.append(f"{name}: {more.total()} rows too many, {less.total()} missing: {example}")
    return said
