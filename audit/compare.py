"""Comparing what two stages hold, partition by partition."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from audit.model import EXAMPLES, NOTHING, Check, Holdings, Offsets, Partition, Status, bad, good
from audit.offsets import compare, distinct

# Of offsets that a stage lacks, those that it has not come to yet.
Pending = Callable[[Partition, Offsets], Offsets]


@dataclass(frozen=True)
class Sealed:
    """Which records are judged, and which of them may still be on their way.

    Offsets below ``ends`` existed when the audit began, and had to be everywhere by then: the
    stages are read from the last to the first, so that whatever moves meanwhile is upstream of
    where it was. Those below ``until`` whoever asked has sent through every stage.
    """

    ends: Mapping[Partition, int] = field(default_factory=dict)
    until: Mapping[Partition, int] = field(default_factory=dict)

    def due(self, place: Partition, offsets: Offsets) -> Offsets:
        """Return those that were there when the audit began; all where that is not known."""
        return offsets[offsets < self.ends[place]] if place in self.ends else offsets

    def late(self, place: Partition, offsets: Offsets) -> Offsets:
        """Return those that a stage may not have come to yet, of what it has not."""
        return offsets[offsets >= self.until.get(place, 0)]


@dataclass(frozen=True)
class Claim:
    """That ``right`` holds exactly what ``left`` does; the names appear in the sentences."""

    name: str
    invariant: str
    left: str
    right: str


def nothing_pending(_: Partition, offsets: Offsets) -> Offsets:
    """Return no offset: what is missing is lost."""
    return offsets[:0]


def beyond(reached: Mapping[Partition, int]) -> Pending:
    """Return what takes offsets from where a stage has come to; it works in their order."""
    return lambda place, offsets: offsets[offsets >= reached.get(place, 0)]


def agree(
    claim: Claim,
    left: Holdings,
    right: Holdings,
    sealed: Sealed,
    pending: Pending = nothing_pending,
) -> list[Check]:
    """Return one check per kind of difference and partition, or one that holds."""
    checks = []
    for place in sorted(left.keys() | right.keys()):
        wanted, held = left.get(place, NOTHING), right.get(place, NOTHING)
        checks += _one(claim, place, wanted, held, sealed, pending)
    return checks


def _one(
    claim: Claim,
    place: Partition,
    wanted: Offsets,
    held: Offsets,
    sealed: Sealed,
    pending: Pending,
) -> list[Check]:
    difference = compare(wanted, held)
    missing = sealed.due(place, difference.missing)
    late = sealed.late(place, pending(place, missing))
    lost = np.setdiff1d(missing, late, assume_unique=True)
    kinds: tuple[tuple[Offsets, str, Status], ...] = (
        (lost, f"in {claim.left}, not in {claim.right}", "violated"),
        (difference.doubled, f"more than once in {claim.right}", "violated"),
        (difference.alien, f"in {claim.right}, not in {claim.left}", "violated"),
        (late, f"in {claim.left}, not yet in {claim.right}", "behind"),
    )
    counts = {"expected": len(distinct(wanted)), "found": len(held)}
    checks = [
        wrong(claim.name, claim.invariant, place, offsets, what, status, **counts)
        for offsets, what, status in kinds
        if len(offsets)
    ]
    return checks or [good(claim.name, claim.invariant, place, **counts)]


def wrong(
    name: str,
    invariant: str,
    place: Partition,
    offsets: Offsets,
    what: str,
    status: Status = "violated",
    **facts: int,
) -> Check:
    """Return a check that does not hold and names its offsets."""
    examples = [int(offset) for offset in offsets[:EXAMPLES]]
    text = sentence(place, offsets, what)
    return bad(name, invariant, text, examples, place, status, differences=len(offsets), **facts)


def sentence(place: Partition, offsets: Offsets, what: str) -> str:
    """Return ``topic/partition: offset 7 in bronze, not in lake``."""
    shown = ", ".join(str(offset) for offset in offsets[:5])
    more = f" and {len(offsets) - 5} more" if len(offsets) > 5 else ""
    word = "offset" if len(offsets) == 1 else "offsets"
    return f"{place}: {word} {shown}{more} {what}"
