"""Where a job can be made to die, or to wait: around the steps that it takes.

The product has no switch for it: the steps are wrapped here, in a process of the drill's own.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drill.lake.waiting import wait_for
from spark_jobs import commit
from spark_jobs.iceberg import LakeTable
from spark_jobs.upkeep import UpkeepTable

# Into the work of a step that runs in the JVM: its tasks have begun, its commit is not made.
_INTO_S: Final = 0.3


@dataclass(frozen=True)
class Point:
    """A step of a job and a side of it: before it begins, within, or when it is done."""

    owner: Any
    step: str
    side: str


POINTS: Final = {
    "after-branch": Point(LakeTable, "create_branch", "after"),
    "after-append": Point(commit, "stage", "after"),
    "before-publish": Point(commit.Staged, "publish", "before"),
    "after-publish": Point(commit.Staged, "publish", "after"),
    "after-tags": Point(UpkeepTable, "set_refs", "after"),
    "in-rewrite": Point(UpkeepTable, "rewrite", "within"),
    "after-rewrite": Point(UpkeepTable, "rewrite", "after"),
    "after-expiry": Point(UpkeepTable, "expire", "after"),
    "after-deletion": Point(UpkeepTable, "delete", "after"),
    "before-orphans": Point(UpkeepTable, "orphans", "before"),
}


@contextmanager
def at(name: str, nth: int, act: Callable[[], None]) -> Iterator[None]:
    """Have ``act`` done when a job comes to a point for the ``nth`` time."""
    point = POINTS[name]
    step = getattr(point.owner, point.step)
    come = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever the step takes
        nonlocal come
        come += 1
        is_now = come == nth
        if is_now and point.side == "before":
            act()
        if is_now and point.side == "within":
            threading.Timer(_INTO_S, act).start()
        done = step(*arguments, **named)
        if is_now and point.side == "after":
            act()
        return done

    setattr(point.owner, point.step, wrapped)
    try:
        yield
    finally:
        setattr(point.owner, point.step, step)


def die(note: Path, point: str) -> Callable[[], None]:
    """Return what kills this process and its JVM without a chance, having told where."""

    def act() -> None:
        note.write_text(point)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    return act


def meet(barrier: Path, name: str) -> Callable[[], None]:
    """Return what says that ``name`` is there, and waits until all may go on."""

    def act() -> None:
        barrier.with_name(f"{barrier.name}.{name}").touch()
        wait_for(barrier.with_name(f"{barrier.name}.go"))

    return act
