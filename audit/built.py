"""What dbt made of the raw tables: silver, quarantine, gold and its published copy."""

from pathlib import Path
from typing import NamedTuple

from audit.compare import Claim, Sealed, agree
from audit.model import Check, Holdings, bad, good
from audit.offsets import merge
from audit.warehouse import QUOTES_RAW, Warehouse, connected

GOLD = "gold"
_METRICS = "common.daily_stock_metrics_raw"
_BARS = "silver.silver_bars"
_MART = "gold.daily_stock_metrics"
_NO_KEYS = "select '' as name, 0 as n where false"


class Split(NamedTuple):
    """How dbt splits raw tables: each of their records is in exactly one of these relations."""

    name: str
    raw: tuple[str, ...]
    silver: tuple[str, ...]
    quarantined: tuple[str, ...]
    deduplicated: tuple[str, ...] = ()
    where: str = "true"


REJECTS = "silver.rejects"
SPLITS = (
    Split(
        "silver.bars",
        ("common.bars_raw",),
        ("silver.silver_bars",),  # current and revisions
        ("quarantine.quarantine_bars",),
    ),
    Split(
        "silver.corporate_actions",
        ("common.corporate_actions_raw",),
        ("silver.silver_corporate_actions",),
        ("quarantine.quarantine_corporate_actions",),
    ),
    Split(
        "silver.quotes",
        QUOTES_RAW,
        ("silver.silver_quotes",),
        ("quarantine.quarantine_quotes",),
        ("verdicts.silver_quotes_deduplicated",),
    ),
    # A copy of a record that is kept elsewhere is counted, and shown to nobody.
    Split(
        REJECTS,
        ("common.rejects_raw",),
        (),
        ("quarantine.quarantine_rejects",),
        where="reason is distinct from 'duplicate'",
    ),
)


class Parts(NamedTuple):
    """One split as it was found."""

    split: Split
    raw: Holdings
    silver: Holdings
    quarantined: Holdings
    deduplicated: Holdings


def read(warehouse: Warehouse | None) -> list[Parts]:
    """Count what the raw tables were split into; nothing where there is no warehouse."""
    if warehouse is None:
        return []
    return [
        Parts(
            split,
            warehouse.total(split.raw, split.where),
            warehouse.total(split.silver),
            warehouse.total(split.quarantined),
            warehouse.total(split.deduplicated),
        )
        for split in SPLITS
    ]


def judge(parts: list[Parts], sealed: Sealed) -> list[Check]:
    """Compare each raw table with the sum of its parts."""
    checks: list[Check] = []
    for part in parts:
        claim = Claim(
            part.split.name,
            "raw = current + revisions + quarantined + deduplicated (I6)",
            part.split.raw[0],
            " or ".join((*part.split.silver, *part.split.quarantined, *part.split.deduplicated)),
        )
        whole = merge(part.silver, part.quarantined, part.deduplicated)
        checks += agree(claim, part.raw, whole, sealed)
    return checks


def gold(warehouse: Warehouse | None, published: Path) -> list[Check]:
    """Check gold against the metrics that were loaded, and the published file against gold."""
    if warehouse is None:
        return []
    return [_daily(warehouse), *_published(warehouse, published / "current")]


def _daily(warehouse: Warehouse) -> Check:
    name, invariant = "gold.daily", "gold has one row per symbol and session with a valid bar"
    expected = f"""
        select symbol || ' ' || session_date::varchar as name, count(*) as n from {_METRICS}
        where bar_event_id in (select event_id from {_BARS}) group by all
        """  # noqa: S608 - constants
    mart = f"""
        select symbol || ' ' || session_date::varchar as name, count(*) as n from {_MART}
        group by all
        """  # noqa: S608 - constants
    there = warehouse.has(_METRICS) and warehouse.has(_BARS)
    rows = warehouse.rows(
        f"""
        with valid as ({expected if there else _NO_KEYS}),
        mart as ({mart if warehouse.has(_MART) else _NO_KEYS})
        select coalesce(valid.name, mart.name) as name,
            valid.n is not null as expected, coalesce(mart.n, 0) as found
        from valid full join mart on valid.name = mart.name
        where valid.n is null or mart.n is distinct from 1
        order by name
        """  # noqa: S608 - constants
    )
    if not rows:
        return good(name, invariant)
    key, wanted, found = rows[0]
    text = f"{key}: {'a' if wanted else 'no'} valid bar was loaded, {found} rows in {_MART}"
    return bad(name, invariant, text, [row[0] for row in rows], differences=len(rows))


def _published(warehouse: Warehouse, current: Path) -> list[Check]:
    name, invariant = "gold.published", "the published file is the gold that passed its tests"
    relations = warehouse.relations(GOLD)
    if not relations and not current.exists():
        return [good(name, invariant, detail="nothing is published yet")]
    if not current.exists():
        return [bad(name, invariant, f"{current} is not there, gold has {len(relations)} marts")]
    with connected(current.resolve()) as connection:
        copy = Warehouse(connection)
        names = sorted({*relations, *copy.relations(GOLD)})
        return [_same(relation, warehouse, copy) for relation in names]


def _same(relation: str, ours: Warehouse, copy: Warehouse) -> Check:
    name, invariant = "gold.published", "the published file is the gold that passed its tests"
    expected, found = _fingerprint(ours, relation), _fingerprint(copy, relation)
    if expected == found:
        return good(name, invariant, expected=expected, found=found, detail=relation)
    text = f"{relation}: the warehouse has {expected}, the published file {found}"
    return bad(name, invariant, text, [relation], expected=expected, found=found)


def _fingerprint(warehouse: Warehouse, relation: str) -> str:
    """Return a relation's row count and a hash over its rows, whatever their order."""
    if not warehouse.has(relation):
        return "nothing"
    columns = ", ".join(f'"{column}"' for column in sorted(warehouse.columns(relation)))
    ((count, mixed, total),) = warehouse.rows(
        f"select count(*), bit_xor(hash({columns})), sum(hash({columns})) from {relation}"  # noqa: S608 - constants
    )
    return f"{count} rows, {int(mixed or 0):016x}-{int(total or 0):x}"
