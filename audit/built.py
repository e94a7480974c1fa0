"""What dbt made of the raw tables: silver, quarantine, gold and its published copy."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from audit import derived
from audit.compare import Claim, Pending, Sealed, agree
from audit.model import NOTHING, Check, Holdings, bad, good
from audit.offsets import merge
from audit.warehouse import QUOTES_RAW, Warehouse, connected

GOLD = "gold"
_PUBLISHED, _SAME = "gold.published", "the published file is the gold that passed its tests"


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
    unbuilt: Holdings
    """What was loaded after the last published build began."""


def read(warehouse: Warehouse | None) -> list[Parts]:
    """Count what the raw tables were split into; nothing where there is no warehouse."""
    if warehouse is None:
        return []
    since = f"loaded_at >= {derived.last_build(warehouse).instant()}"
    return [
        Parts(
            split,
            warehouse.total(split.raw, split.where),
            warehouse.total(split.silver),
            warehouse.total(split.quarantined),
            warehouse.total(split.deduplicated),
            warehouse.total(split.raw, f"{split.where} and {since}"),
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
        checks += agree(claim, part.raw, whole, sealed, _unbuilt(part.unbuilt))
    return checks


def _unbuilt(held: Holdings) -> Pending:
    return lambda place, offsets: np.intersect1d(offsets, held.get(place, NOTHING))


def silver(warehouse: Warehouse | None) -> list[Check]:
    """Check the silver tables whose rows are no longer records."""
    return derived.judge(warehouse, derived.SILVER) if warehouse else []


def gold(warehouse: Warehouse | None, published: Path) -> list[Check]:
    """Check gold against what it is made of, and the published file against gold."""
    if warehouse is not None:
        return [
            *derived.judge(warehouse, derived.GOLD),
            *_published(warehouse, published / "current"),
        ]
    if not (published / "current").exists():
        return []
    return [bad(_PUBLISHED, _SAME, "gold is published, the warehouse that it came from is gone")]


def _published(warehouse: Warehouse, current: Path) -> list[Check]:
    name, invariant = _PUBLISHED, _SAME
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
    name, invariant = _PUBLISHED, _SAME
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
