"""The reconciliation table: one row per partition, one count per stage."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from audit.built import Parts
from audit.lake import DUPLICATE, REJECTS, TABLES_OF_TOPIC, LakeTable
from audit.loaded import Raw
from audit.model import Check, Holdings, Partition, Row
from audit.offsets import merge
from audit.warehouse import QUOTES_TOPIC, RAW_OF_LAKE

if TYPE_CHECKING:
    from audit.run import Readings

Counts = Mapping[Partition, int]


def table(readings: "Readings", checks: Iterable[Check]) -> list[Row]:
    """Return the rows, sorted; a column is None where the stage was not read or has no part."""
    columns = {name: counts for name, counts in _columns(readings).items() if counts is not None}
    places = sorted({place for counts in columns.values() for place in counts})
    gaps = _gaps(checks)
    return [_row(place, columns, gaps.get(place, 0)) for place in places]


def _row(place: Partition, columns: Mapping[str, Counts], gap: int) -> Row:
    values: dict[str, Any] = {
        name: counts.get(place, 0) for name, counts in columns.items() if _has(name, place)
    }
    return Row(*place, **values, gap=gap)


def _has(column: str, place: Partition) -> bool:
    """Return whether records of this topic ever reach the column's stage."""
    lanes = {
        "lake": tuple(TABLES_OF_TOPIC),
        "rejected": tuple(TABLES_OF_TOPIC),
        "deduplicated": (*TABLES_OF_TOPIC, QUOTES_TOPIC),
        "warehouse": (*TABLES_OF_TOPIC, QUOTES_TOPIC),
        "silver": ("stock-market-batch", QUOTES_TOPIC),
        "quarantined": ("stock-market-batch", QUOTES_TOPIC),
    }
    return column not in lanes or place.topic in lanes[column]


def _columns(found: "Readings") -> dict[str, Counts | None]:
    logs = found.logs
    return {
        "kafka": None if logs is None else {place: len(log.offsets) for place, log in logs.items()},
        "bronze": None if found.bronze is None else _count(found.bronze.held),
        **_lake(found.tables, found.parts),
        "warehouse": None if found.raw is None else _count(_raw(found.raw)),
        "silver": _part(found.parts, "silver"),
        "quarantined": _part(found.parts, "quarantined"),
    }


def _lake(
    tables: Mapping[str, LakeTable] | None, parts: list[Parts] | None
) -> dict[str, Counts | None]:
    deduplicated = dict(_part(parts, "deduplicated") or {})
    if tables is None:
        return {"deduplicated": deduplicated if parts is not None else None}
    events = merge(*(item.rows for name, item in tables.items() if name != REJECTS))
    reasons = tables[REJECTS].reasons
    copies = {place: counts[DUPLICATE] for place, counts in reasons.items()}
    rejected = {place: counts.total() - copies[place] for place, counts in reasons.items()}
    return {"lake": _count(events), "rejected": rejected, "deduplicated": deduplicated | copies}


def _raw(raw: Raw) -> Holdings:
    return merge(*(raw.tables.get(name, {}) for name in (*RAW_OF_LAKE.values(), "quotes")))


def _part(parts: list[Parts] | None, name: str) -> Counts | None:
    """Return one kind of part; rejects are a column of their own."""
    if parts is None:
        return None
    return _count(merge(*(getattr(part, name) for part in parts if part.split.name != REJECTS)))


def _count(held: Holdings) -> Counts:
    return {place: len(offsets) for place, offsets in held.items()}


def _gaps(checks: Iterable[Check]) -> dict[Partition, int]:
    """Return, per partition, the most offsets that any one check finds wrong."""
    gaps: dict[Partition, int] = {}
    for check in checks:
        place = check.where()
        if place is not None and check.status == "violated":
            gaps[place] = max(gaps.get(place, 0), check.differences)
    return gaps
