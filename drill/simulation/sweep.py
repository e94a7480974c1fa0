"""Many seeds: spread over processes, counted, and the first that fails explained."""

import os
import time
from collections import Counter
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from drill.simulation.mutants import MUTANTS, Rules
from drill.simulation.plan import POINTS, WINDOWS
from drill.simulation.run import Verdict, run_seed
from drill.simulation.shrink import needed

_SHARE: Final = 50  # seeds handed to a process at once
# What a sweep must have met to say anything; the names are those of `World.count`.
COVERAGE: Final = (
    *(f"crash at {point}" for point in POINTS),
    *(f"window {kind}" for kind in WINDOWS),
    "alarm adopted", "alarm committed_beyond_storage", "alarm corrupt_answer", "alarm dropped",
    "alarm generation_ended", "alarm position_lost", "alarm put_unknown", "alarm refused",
    "alarm retention_gap", "alarm topic_recreated", "batches after a seek or pause",
    "batches of partitions not owned", "bursts", "commits late", "commits lost",
    "commits of former owners refused", "commits of former owners taken", "compactions", "crashes",
    "Describe failed", "foreign commits", "freezes", "gaps", "Get failed", "GETs damaged",
    "graceful stops", "isolations", "List failed", "lower high watermarks", "objects",
    "partitions lost", "pauses", "PUT conflict", "PUT late_apply", "PUT lost_ack", "PUT own_412",
    "PUT refused", "PUT store_down", "PUT timeout", "PUTs of a deleted topic withheld",
    "PUTs of the dead applied", "PUTs of zombies", "QueryWatermarks failed", "redeliveries",
    "retentions", "revokes", "sessions expired", "skips after a pause", "stale watermarks",
    "topics re-created", "truncations", "wall clock jumps",
)  # fmt: skip


@dataclass
class Sweep:
    """What many seeds came to."""

    seeds: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    failed: Verdict | None = None

    def rate(self) -> float:
        """Return seeds per second of real time."""
        return self.seeds / self.seconds if self.seconds else 0.0

    def rate_per_cpu(self) -> float:
        """Return seeds per second of one core, which other work on the machine does not change."""
        return self.seeds / self.cpu_seconds if self.cpu_seconds else 0.0

    def unmet(self) -> list[str]:
        """Return what never happened and should have."""
        return [what for what in COVERAGE if not self.counts[what]]


@dataclass(frozen=True)
class Share:
    """What one process found in its seeds, up to the first failing one."""

    seeds: int
    cpu_seconds: float
    counts: Counter[str]
    failed: Verdict | None


def rules_of(broken: str) -> Rules:
    """Return the product's rules, or those with one of them broken."""
    return MUTANTS[broken] if broken else Rules()


def sweep(first: int, count: int, broken: str = "", jobs: int = 0) -> Iterator[Sweep]:
    """Run seeds [first, first + count) to the first that fails; yield the state as it grows.

    The outcome does not depend on ``jobs``; 0 is one process a core.
    """
    state, started = Sweep(), time.monotonic()
    shares = _shares(first, first + count, broken, jobs or os.cpu_count() or 1)
    for share in shares:
        state.seeds += share.seeds
        state.cpu_seconds += share.cpu_seconds
        state.counts += share.counts
        state.seconds = time.monotonic() - started
        state.failed = share.failed
        yield state
        if state.failed is not None:
            shares.close()
            return


def _shares(first: int, end: int, broken: str, jobs: int) -> Generator[Share, None, None]:
    starts = range(first, end, _SHARE)
    work = starts, [min(start + _SHARE, end) for start in starts], [broken] * len(starts)
    if jobs == 1:
        yield from map(_run_share, *work)
        return
    pool = ProcessPoolExecutor(jobs)
    try:
        yield from pool.map(_run_share, *work)
    finally:
        pool.shutdown(cancel_futures=True)


def minimised(failed: Verdict, broken: str) -> Verdict:
    """Return the failing seed again, traced, with only the faults that it needs to fail so."""
    rules, invariant = rules_of(broken), failed.violation.split(":")[0]
    whole = run_seed(failed.seed, rules)

    def fails(dropped: frozenset[int]) -> bool:
        return run_seed(failed.seed, rules, dropped).violation.startswith(f"{invariant}:")

    count = len(whole.plan.faults)
    dropped = frozenset(range(count)) - frozenset(needed(count, fails))
    return run_seed(failed.seed, rules, dropped, tracing=True)


def _run_share(start: int, end: int, broken: str) -> Share:
    started, counts = time.process_time(), Counter[str]()
    failed = None
    seeds = 0
    for number in range(start, end):
        verdict = run_seed(number, rules_of(broken))
        counts += verdict.counts
        seeds += 1
        if verdict.violation:
            failed = verdict
            break
    return Share(seeds, time.process_time() - started, counts, failed)
