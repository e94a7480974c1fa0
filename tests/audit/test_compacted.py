"""Bronze against the lake: what may be on its way, and what whoever asked has sent through."""

import numpy as np

from audit import compacted
from audit.compare import Sealed
from audit.lake import TABLES_OF_TOPIC, LakeTable
from audit.model import Check, Holdings, Partition

TOPIC = "stock-market-batch"
FIRST, SECOND = (Partition(TOPIC, "a" * 32, number) for number in (0, 1))
END = 10
BEHIND = {"lake.positions", "lake.records"}


def held(ends: dict[Partition, int]) -> Holdings:
    return {place: np.arange(end, dtype=np.int64) for place, end in ends.items()}


def judged(reached: dict[Partition, int], until: dict[Partition, int]) -> list[Check]:
    """Judge a lake that has come so far; bronze has two partitions of one length."""
    names = {name for names in TABLES_OF_TOPIC.values() for name in names}
    tables = {name: LakeTable(positions=reached) for name in names}
    tables["silver.bars"] = LakeTable(rows=held(reached), positions=reached)
    ends = dict.fromkeys((FIRST, SECOND), END)
    return compacted.judge(held(ends), ends, tables, Sealed(ends, until))


def named(checks: list[Check], status: str) -> dict[tuple[str, Partition | None], list[int | str]]:
    """Return the offsets of the checks of a status, by name and partition."""
    found = [check for check in checks if check.status == status]
    return {(check.name, check.where()): list(check.examples) for check in found}


def test_a_partition_that_compaction_left_out_is_behind() -> None:
    checks = judged({FIRST: END}, {})

    assert named(checks, "violated") == {}
    assert named(checks, "behind") == {(name, SECOND): [*range(END)] for name in BEHIND}


def test_it_is_lost_to_whoever_has_seen_compaction_end() -> None:
    checks = judged({FIRST: END}, {FIRST: END, SECOND: END})

    assert named(checks, "violated") == {(name, SECOND): [*range(END)] for name in BEHIND}
    assert named(checks, "behind") == {}


def test_what_came_later_may_still_be_on_its_way() -> None:
    checks = judged({FIRST: 8, SECOND: 6}, {FIRST: 8, SECOND: 7})

    assert named(checks, "violated") == {(name, SECOND): [6] for name in BEHIND}
    assert named(checks, "behind") == {
        **{(name, FIRST): [8, 9] for name in BEHIND},
        ("lake.records", SECOND): [7, 8, 9],
    }
