"""Bronze and the lake against the warehouse's raw tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from audit.compare import Claim, Pending, Sealed, agree, beyond, nothing_pending
from audit.lake import Lake, LakeTable, batches, load
from audit.model import EXAMPLES, Check, Holdings, Status, bad, good
from audit.offsets import of_topic
from audit.warehouse import LEDGER, QUOTES_RAW, QUOTES_TOPIC, RAW_OF_LAKE, Warehouse

_METRICS = "warehouse.metrics"
_ONCE = "every row is loaded once (I8)"
# Metrics have no transport identity: a revision of a key is a row.
METRICS = {
    "metrics.daily_stock_metrics": (
        "common.daily_stock_metrics_raw",
        ("symbol", "source", "session_date", "revision"),
    ),
    "metrics.realtime_stock_analytics": (
        "common.realtime_stock_analytics_raw",
        ("symbol", "source", "window_end_at", "revision"),
    ),
    "metrics.trade_bars": (
        "common.trade_bars_raw",
        ("symbol", "source", "interval", "segment", "session_date", "start_at", "revision"),
    ),
    "metrics.anomalies": (
        "common.anomalies_raw",
        ("symbol", "source", "session_date", "rule", "subject", "revision"),
    ),
}


@dataclass
class Raw:
    """What the raw tables hold, and the checks that need the open file."""

    tables: dict[str, Holdings] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    is_booked: bool = True
    """Whether every row that the ledger has booked is there: what else lacks was never loaded."""

    def pending(self, target: str) -> Pending:
        """Return what takes the offsets that the loader has not come to."""
        if not self.is_booked:
            return nothing_pending
        held = self.tables.get(target, {})
        return beyond({place: int(offsets[-1]) + 1 for place, offsets in held.items()})

    def quotes(self) -> Holdings:
        """Return the quotes, those that the engine refused included."""
        return self.tables.get("quotes", {})


def read(warehouse: Warehouse | None, lake: Lake | None) -> Raw:
    """Count the raw tables; ``lake`` is asked for the metrics' keys."""
    raw = Raw()
    if warehouse is not None:
        raw.tables = {table: warehouse.holdings(table) for table in RAW_OF_LAKE.values()}
        raw.tables["quotes"] = warehouse.total(QUOTES_RAW)
        ledger = _ledger(warehouse)
        raw.checks.append(ledger)
        raw.is_booked = ledger.status == "ok"
    if lake is not None:
        with lake.catalog() as catalog:
            for name, (target, keys) in METRICS.items():
                reader = batches(load(catalog, name), keys)
                raw.checks += _metrics(warehouse, name, target, keys, reader, raw.is_booked)
    return raw


def judge(
    raw: Raw, bronze: Holdings | None, tables: Mapping[str, LakeTable] | None, sealed: Sealed
) -> list[Check]:
    """Compare; a stage that could not be read is None and left out."""
    checks = list(raw.checks)
    if bronze is not None:
        claim = Claim("warehouse.quotes", _ONCE, "bronze", "the warehouse")
        quotes = of_topic(bronze, QUOTES_TOPIC)
        checks += agree(claim, quotes, raw.quotes(), sealed, raw.pending("quotes"))
    for source, target in RAW_OF_LAKE.items() if tables is not None else ():
        claim = Claim("warehouse.records", _ONCE, f"lake {source}", f"warehouse {target}")
        rows = tables[source].rows if tables else {}
        checks += agree(claim, rows, raw.tables.get(target, {}), sealed, raw.pending(target))
    return checks


def _ledger(warehouse: Warehouse) -> Check:
    name, invariant = "warehouse.ledger", "the ledger has each file's rows (I8)"
    tables = [t for t in (*RAW_OF_LAKE.values(), *QUOTES_RAW, *_targets()) if warehouse.has(t)]
    if not warehouse.has(LEDGER) or not tables:
        return good(name, invariant, detail="nothing is loaded yet")
    counts = " union all ".join(f"select file from {table}" for table in tables)  # noqa: S608 - constants
    found = warehouse.rows(
        f"""
        with loaded as (select file, count(*) as n from ({counts}) group by file),
        booked as (select file, sum(rows) as n from {LEDGER} group by file)
        select coalesce(booked.file, loaded.file) as name,
            coalesce(booked.n, 0) as expected, coalesce(loaded.n, 0) as found
        from booked full join loaded on booked.file = loaded.file
        where coalesce(booked.n, 0) <> coalesce(loaded.n, 0)
        order by name
        """  # noqa: S608 - constants
    )
    if not found:
        return good(name, invariant)
    file, expected, there = found[0]
    text = f"{file}: {expected} rows in the ledger, {there} in the warehouse"
    return bad(name, invariant, text, [row[0] for row in found], differences=len(found))


def _targets() -> list[str]:
    return [target for target, _ in METRICS.values()]


def _metrics(
    warehouse: Warehouse | None,
    source: str,
    target: str,
    keys: tuple[str, ...],
    reader: pa.RecordBatchReader | None,
    is_booked: bool,
) -> list[Check]:
    if warehouse is None or not warehouse.has(target):
        return [_absent(source, target, reader)]
    found = _key_differences(warehouse, target, keys, reader)
    late = [row for row in found if is_booked and row[2] == 0]
    wrong = [row for row in found if row not in late]
    kinds: tuple[tuple[list[tuple[str, int, int]], Status], ...] = (
        (wrong, "violated"),
        (late, "behind"),
    )
    checks = [_differ(target, rows, status) for rows, status in kinds if rows]
    return checks or [good(_METRICS, _ONCE, detail=source)]


def _differ(target: str, rows: list[tuple[str, int, int]], status: Status) -> Check:
    named = [f"{key}: {expected} in the lake, {there} loaded" for key, expected, there in rows]
    text = f"{target}: {named[0]}"
    count = len(named)
    return bad(_METRICS, _ONCE, text, named[:EXAMPLES], status=status, differences=count)


def _absent(source: str, target: str, reader: pa.RecordBatchReader | None) -> Check:
    rows = sum(batch.num_rows for batch in reader) if reader else 0
    if not rows:
        return good(_METRICS, _ONCE, detail=source)
    text = f"{target} is not there yet, {source} has {rows} rows"
    return bad(
        _METRICS, _ONCE, text, [source], status="behind", expected=rows, found=0, differences=rows
    )


def _key_differences(
    warehouse: Warehouse, target: str, keys: tuple[str, ...], reader: pa.RecordBatchReader | None
) -> list[tuple[str, int, int]]:
    """Return the keys whose number of rows differs, with both numbers."""
    key = " || ' ' || ".join(_text(column) for column in keys)
    count = "select {} as name, count(*) as n from {} group by all"
    lake = count.format(key, "lake_rows") if reader else "select '' as name, 0 as n where false"
    if reader:
        warehouse.connection.register("lake_rows", reader)
    return warehouse.rows(
        f"""
        with lake as ({lake}), loaded as ({count.format(key, target)})
        select coalesce(lake.name, loaded.name) as name,
            coalesce(lake.n, 0) as expected, coalesce(loaded.n, 0) as found
        from lake full join loaded on lake.name = loaded.name
        where coalesce(lake.n, 0) <> coalesce(loaded.n, 0)
        order by name
        """  # noqa: S608 - constants
    )


def _text(column: str) -> str:
    """Return a column as text; the lake's timestamps carry a zone, the warehouse's are UTC."""
    if column.endswith("_at"):
        return f"coalesce(strftime(make_timestamp(epoch_us({column})), '%Y-%m-%dT%H:%M:%SZ'), '?')"
    return f"""coalesce("{column}"::varchar, '?')"""
