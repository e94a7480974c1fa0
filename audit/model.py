"""What the auditor talks about: partitions, the offsets that a stage holds, checks, the verdict."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

EXAMPLES = 20  # enough to see a pattern; the counts beside them are exact

Offsets = NDArray[np.int64]
# behind: not lost, on its way; the next run of the stage named will bring it.
Status = Literal["ok", "violated", "unknown", "behind", "skipped"]


class Partition(NamedTuple):
    """A partition of one life of a topic; ``generation`` is the topic's id in hex."""

    topic: str
    generation: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


# Sorted offsets per partition; an offset held twice is in its array twice.
Holdings = dict[Partition, Offsets]

NOTHING: Offsets = np.empty(0, dtype=np.int64)

# 64 bits of a hash stand for an id or a value: that any two of a hundred million are the same has
# a chance of one in four thousand.
Hashes = NDArray[np.uint64]


class Valued(NamedTuple):
    """Hashes of the values of some of a partition's records, by offset."""

    offsets: Offsets
    values: Hashes


NO_VALUES = Valued(NOTHING, np.empty(0, dtype=np.uint64))


@dataclass(frozen=True)
class Check:
    """One invariant, judged once: for one partition, or for a stage as a whole.

    ``differences`` counts what is wrong, ``examples`` names up to 20 of it (offsets, keys, ids).
    """

    name: str
    invariant: str
    status: Status
    detail: str = ""
    topic: str | None = None
    generation: str | None = None
    partition: int | None = None
    expected: int | str | None = None
    found: int | str | None = None
    differences: int = 0
    examples: tuple[int | str, ...] = ()

    def where(self) -> Partition | None:
        """Return the partition that the check is about, if it is about one."""
        if self.topic is None or self.generation is None or self.partition is None:
            return None
        return Partition(self.topic, self.generation, self.partition)


def good(name: str, invariant: str, where: Partition | None = None, **facts: Any) -> Check:  # noqa: ANN401 - fields of Check
    """Return a check that holds."""
    return Check(name, invariant, "ok", **_place(where), **facts)


def bad(
    name: str,
    invariant: str,
    detail: str,
    examples: Iterable[int | str] = (),
    where: Partition | None = None,
    status: Status = "violated",
    **facts: Any,  # noqa: ANN401 - fields of Check
) -> Check:
    """Return a check that does not hold; ``differences`` defaults to the number of examples."""
    named = tuple(examples)
    facts.setdefault("differences", max(1, len(named)))
    return Check(
        name, invariant, status, detail, **_place(where), examples=named[:EXAMPLES], **facts
    )


def unknown(name: str, invariant: str, detail: str) -> Check:
    """Return a check that could not be judged."""
    return Check(name, invariant, "unknown", detail)


def _place(where: Partition | None) -> dict[str, Any]:
    return where._asdict() if where else {}


@dataclass(frozen=True)
class Row:
    """One line of the reconciliation table; None where a stage does not apply or was not read."""

    topic: str
    generation: str
    partition: int
    kafka: int | None = None
    bronze: int | None = None
    lake: int | None = None
    rejected: int | None = None
    deduplicated: int | None = None
    warehouse: int | None = None
    silver: int | None = None
    quarantined: int | None = None
    gap: int = 0


@dataclass(frozen=True)
class Verdict:
    """What one audit found."""

    started_at: str
    finished_at: str
    seconds: float
    checks: list[Check]
    table: list[Row] = field(default_factory=list)

    @property
    def verdict(self) -> Status:
        """Return the worst: a known loss outranks an unread stage, which may hide one."""
        found = {check.status for check in self.checks}
        if "violated" in found:
            return "violated"
        if "unknown" in found or "ok" not in found:
            return "unknown"
        return "behind" if "behind" in found else "ok"

    def document(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        body = asdict(self)
        return {"verdict": self.verdict, **body}


def broken_off(reason: str) -> Verdict:
    """Return the verdict of an audit that did not come to its end: nothing is known."""
    now = datetime.now(UTC).isoformat()
    return Verdict(now, now, 0.0, [unknown("audit.run", "the audit comes to its end", reason)])
