"""What goes wrong, and when: an explicit plan made from the seed, so that it can be cut down."""

import random
from dataclasses import dataclass, replace
from typing import Final

from ingestion.land.core import Limits

FAULTS_END_S: Final = 25.0  # then everything heals, and all must land
# Where a process may die: each is a call out of the driver, or a moment of a PUT.
POINTS: Final = (
    "round", "consume", "after-poll", "assigned", "in-revoke", "seek", "pause",
    "commit", "committed", "answer", "Describe", "List", "Get", "QueryWatermarks", "Put",
    "checked", "before-put", "after-put",
)  # fmt: skip
WINDOWS: Final = (
    "lost_ack", "timeout", "late_apply", "conflict", "own_412", "refused", "store_down",
    "reads_fail", "gets_damaged", "slow", "kafka_down", "coordinator_down", "commits_lost",
    "commits_late", "high_lower", "watermarks_stale", "buffered", "skip_after_pause", "unowned",
)  # fmt: skip
MOMENTS: Final = (
    "crash", "freeze", "isolate", "stop", "rebalance", "redeliver", "retention", "compact",
    "recreate", "truncate", "foreign_commit", "wall_jump", "burst",
)  # fmt: skip
# A new leader catches up within a few fetches of its followers.
_OF_A_MOMENT: Final = frozenset({"high_lower", "watermarks_stale"})
_OF_A_MOMENT_S: Final = 3.0
# These need a rare moment to meet.
_OF_THE_CLIENT: Final = frozenset({"buffered", "skip_after_pause", "unowned"})
_RARE: Final = frozenset({"truncate"})
_OVERLAPS: Final = ("freeze", "isolate", "rebalance")  # two landers on one partition


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong at virtual second ``at``."""

    at: float
    kind: str
    target: int
    span: float = 0.0
    point: str = ""

    def __str__(self) -> str:
        more = f" for {self.span:.2f} s" if self.span else ""
        return f"{self.at:6.2f} s  {self.kind} {self.point} #{self.target}{more}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a world and its faults."""

    landers: int
    partitions: int
    appends: int
    limits: Limits
    latency_s: float
    faults: tuple[Fault, ...]

    def without(self, dropped: frozenset[int]) -> "Plan":
        """Return the plan without the faults at these places."""
        kept = (fault for place, fault in enumerate(self.faults) if place not in dropped)
        return replace(self, faults=tuple(kept))


def make(rng: random.Random) -> Plan:
    """Draw a plan; each draws from its own few kinds of fault, which then meet more often."""
    kinds = [kind for kind in (*WINDOWS, *MOMENTS) if kind not in _RARE or rng.random() < 0.1]
    chosen = [*rng.sample(kinds, rng.randint(2, 8)), "crash", rng.choice(_OVERLAPS)]
    count = rng.randint(4, 18)
    faults = sorted((_fault(rng, rng.choice(chosen)) for _ in range(count)), key=lambda f: f.at)
    max_bytes = rng.choice((150, 400, 2000))
    budget_bytes = max_bytes * rng.choice((2, 4, 20))
    return Plan(
        landers=rng.choice((2, 2, 3)),
        partitions=rng.choice((1, 1, 2)),
        appends=rng.randint(10, 24),
        limits=Limits(max_bytes, rng.choice((0.5, 1.0, 2.0)), budget_bytes, pause_after_s=0.5),
        latency_s=rng.choice((0.0, 0.02, 0.1, 0.3)),
        faults=tuple(faults),
    )


def _fault(rng: random.Random, kind: str) -> Fault:
    at, target = rng.uniform(0.5, FAULTS_END_S - 2.0), rng.randrange(3)
    if kind == "crash":
        return Fault(at, kind, target, rng.uniform(0.2, 8.0), rng.choice(POINTS))
    if kind in _OF_A_MOMENT:
        return Fault(at, kind, target, rng.uniform(0.2, _OF_A_MOMENT_S))
    if kind in _OVERLAPS:
        span = rng.choice((rng.uniform(0.5, 5.0), rng.uniform(6.5, 14.0), rng.uniform(6.5, 14.0)))
        return Fault(at * 0.7, kind, target, span)
    if kind in _OF_THE_CLIENT:
        return Fault(at * 0.3, kind, target, rng.uniform(5.0, FAULTS_END_S))
    return Fault(at, kind, target, rng.uniform(0.5, 8.0))
