"""Bronze against the lake."""

from collections.abc import Mapping

import numpy as np

from audit.compare import Claim, Sealed, agree, beyond, wrong
from audit.lake import TABLES_OF_TOPIC, LakeTable
from audit.landed import not_beyond
from audit.model import NOTHING, Check, Holdings, Offsets, Partition, Status, bad, good
from audit.offsets import merge, of_topic

Tables = Mapping[str, LakeTable]

COMPACTED = Claim(
    "lake.records", "every bronze record is in the lake once (I6)", "bronze", "the lake"
)


def judge(
    bronze: Holdings, ends: Mapping[Partition, int], tables: Tables, sealed: Sealed
) -> list[Check]:
    """Compare bronze with what the lake's tables of each topic hold together."""
    checks = [_unique(name, table) for name, table in tables.items() if table.rows]
    for topic, names in TABLES_OF_TOPIC.items():
        records = of_topic(bronze, topic)
        rows = merge(*(of_topic(tables[name].rows, topic) for name in names))
        reached = {place: min(_at(tables[name], place) for name in names) for place in records}
        checks += agree(COMPACTED, records, rows, sealed, beyond(reached))
        checks += [
            _position(name, place, sealed.due(place, offsets), tables[name], sealed)
            for place, offsets in sorted(records.items())
            if len(offsets)
            for name in names
        ]
    return checks + _ahead(tables, ends)


def _unique(name: str, table: LakeTable) -> Check:
    title, invariant = "lake.event_id", "event_id is unique per table (I1)"
    if table.repeated:
        text = f"{name}: event_id {table.repeated[0]} is there more than once"
        return bad(title, invariant, text, table.repeated)
    return good(title, invariant, detail=name)


def _position(
    name: str, place: Partition, records: Offsets, table: LakeTable, sealed: Sealed
) -> Check:
    """Check that a table's position covers its own rows and what bronze holds."""
    title, invariant = "lake.positions", "a table's position is where its rows end and bronze does"
    position = _at(table, place)
    rows = np.unique(table.rows.get(place, NOTHING))
    waiting = records[records >= position]
    late = sealed.late(place, waiting)
    what = f"beyond the position {position} of {name}"
    kinds: tuple[tuple[Offsets, str, Status], ...] = (
        (rows[rows >= position], f"in {name}", "violated"),
        (np.setdiff1d(waiting, late, assume_unique=True), "in bronze", "violated"),
        (late, "in bronze", "behind"),
    )
    for offsets, where, status in kinds:
        if len(offsets):
            words = f"{where}, {what}"
            return wrong(title, invariant, place, offsets, words, status, found=position)
    return good(title, invariant, place, found=position, detail=name)


def _at(table: LakeTable, place: Partition) -> int:
    return (table.positions or {}).get(place, 0)


def _ahead(tables: Tables, ends: Mapping[Partition, int]) -> list[Check]:
    name, invariant = "lake.ahead", "no position is beyond bronze"
    return [
        not_beyond(name, invariant, place, position, ends.get(place, 0), table, "bronze")
        for table, content in tables.items()
        for place, position in sorted((content.positions or {}).items())
    ]
