"""What is done to the jobs; each scene yields what it has proven and leaves the rest to compare."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from drill.lake.jobs import METRIC_JOBS, Jobs
from drill.lake.stage import Stage, WrongError
from drill.lake.waiting import wait_for

# Both topics have news in every round: four tables get a branch, and main is moved four times.
_IN_COMPACT: Final = (
    *(("after-branch", 1), ("after-branch", 3)),
    *(("after-append", 1), ("after-append", 4)),
    *(("before-publish", 1), ("after-publish", 1), ("after-publish", 2), ("after-publish", 3)),
)
_IN_UPKEEP: Final = (
    *(("after-tags", 1), ("in-rewrite", 1), ("after-rewrite", 1)),
    *(("after-expiry", 1), ("after-deletion", 1), ("before-orphans", 2)),
)
# One table, one commit; the four metrics go the same way, so that two of them come to each step.
_IN_METRIC: Final = (
    *(("after-branch", 1), ("after-append", 1), ("before-publish", 1), ("after-publish", 1)),
)
_DIES_IN: Final = (
    *((job, *where) for job in ("bars", "anomalies") for where in _IN_METRIC),
    *(("daily", "after-append", 1), ("windows", "before-publish", 1)),
)
# A partition is worth a rewrite from five small files on.
_FILES_FIRST: Final = 5
_COMPACTORS: Final = ("one", "two")
_UPKEEP_EVERY: Final = 5


@dataclass(frozen=True)
class Scene:
    """A name, and what is played: it yields a sentence for each thing that it has seen."""

    name: str
    play: Callable[[Stage], Iterator[str]]


def _killed_compaction(point: str, nth: int, stage: Stage) -> Iterator[str]:
    stage.next_round()
    yield f"killed at {stage.start('victim').dies('compact', point, nth)}"
    stage.jobs.run("compact")


def _killed_upkeep(point: str, nth: int, stage: Stage) -> Iterator[str]:
    for _ in range(_FILES_FIRST):
        stage.next_round()
        stage.jobs.run("compact")
    yield f"killed at {stage.start('victim').dies('maintain', point, nth)}"
    stage.next_round()
    stage.jobs.run("compact")
    done = stage.jobs.run("maintain")
    yield f"upkeep after it freed {done['freed_bytes']:,} bytes"


def _killed_under_upkeep(stage: Stage) -> Iterator[str]:
    """A compaction dies between two tables; the next completes it, after upkeep has expired all."""
    stage.next_round()
    yield f"killed at {stage.start('victim').dies('compact', 'after-publish', 1)}"
    done = stage.jobs.run("maintain")
    expired = sum(one["expired_snapshots"] for one in done["tables"].values())
    yield f"upkeep expired {expired} snapshots in between"
    stage.jobs.run("compact")


def _killed_metric(job: str, point: str, nth: int, stage: Stage) -> Iterator[str]:
    """A metric job dies; the next one of its kind completes it, the others find nothing amiss."""
    stage.next_round()
    stage.jobs.run("compact")
    yield f"killed at {stage.start('victim').dies(job, point, nth)}"
    for each in METRIC_JOBS:
        stage.jobs.run(each)
    yield stage.compare(with_metrics=True)


def _race(rounds: int, stage: Stage) -> Iterator[str]:
    """Two compactors stand before their first fast-forward; in some rounds upkeep runs then."""
    both = [stage.start(name) for name in _COMPACTORS]
    lost = expired = 0
    for number in range(rounds):
        stage.next_round()
        barrier = stage.state / "run" / f"round-{number}"
        for jobs in both:
            jobs.order("compact", meet=str(barrier))
        for name in _COMPACTORS:
            wait_for(barrier.with_name(f"{barrier.name}.{name}"))
        if number % _UPKEEP_EVERY == _UPKEEP_EVERY - 1:
            done = stage.jobs.run("maintain")
            expired += sum(one["expired_snapshots"] for one in done["tables"].values())
        barrier.with_name(f"{barrier.name}.go").touch()
        lost += _settled(both, number)
        stage.compare()
    yield f"{rounds} rounds, in each both stood before the fast-forward, {lost} refusals"
    if rounds >= _UPKEEP_EVERY:
        yield f"upkeep in every {_UPKEEP_EVERY}th meanwhile: {expired} snapshots expired"


def _settled(both: list[Jobs], number: int) -> int:
    """Return how often one was refused; at least one has to be."""
    retries = sum(int(jobs.answer()["retries"]) for jobs in both)
    if retries == 0:
        raise WrongError(f"round {number}: nobody was refused, both moved main")
    return retries


def _metrics(stage: Stage) -> Iterator[str]:
    """After all that: metrics that have covered expired snapshots equal those of the other lake."""
    for job in METRIC_JOBS:
        stage.jobs.run(job)
    yield stage.compare(with_metrics=True)
    stage.next_round()
    for job in ("compact", "maintain", *METRIC_JOBS):
        stage.jobs.run(job)
    yield stage.compare(with_metrics=True)


def scenes(rounds: int) -> list[Scene]:
    """Return every scene, in the order in which they are played."""
    return [
        *(
            Scene(f"compact killed {point} {nth}", partial(_killed_compaction, point, nth))
            for point, nth in _IN_COMPACT
        ),
        *(
            Scene(f"maintain killed {point} {nth}", partial(_killed_upkeep, point, nth))
            for point, nth in _IN_UPKEEP
        ),
        *(
            Scene(f"{job} killed {point} {nth}", partial(_killed_metric, job, point, nth))
            for job, point, nth in _DIES_IN
        ),
        Scene("compact killed, then upkeep", _killed_under_upkeep),
        Scene(f"two compactors, {rounds} rounds", partial(_race, rounds)),
        Scene("metrics after all that", _metrics),
    ]
