"""Publish again and again under readers in a loop; some builds fail, are killed, fill the disk."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from dbt_stocks import books, engine
from drill.publish import children, readers, steps, world
from drill.publish.readers import Told
from drill.publish.world import World
from ingestion import lock
from ingestion.errors import BuildError

_LOCK_S: Final = 60.0
_SETTLE_S: Final = 6.0
_POLL_S: Final = 0.01
Fate = Literal["published", "fails a test", "killed"]


@dataclass
class Course:
    """What was done: when each build was published, which were not, and the way back."""

    published: dict[int, float] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    killed: list[int] = field(default_factory=list)
    in_books: list[int] = field(default_factory=list)
    rolled_back_to: int = 0
    rolled_back_at: float = 0.0
    told: list[Told] = field(default_factory=list)


def fates(publishes: int, failing: int) -> list[Fate]:
    """Return what becomes of each build: the failing ones spread evenly, every second one killed.

    The first and the last are published.
    """
    if failing > max(publishes - 2, 0):
        raise BuildError(f"expected fewer failing builds than {publishes} less 2, found {failing}")
    found: list[Fate] = ["published"] * publishes
    for turn in range(failing):
        place = 1 + turn * (publishes - 2) // failing
        found[place] = "fails a test" if turn % 2 else "killed"
    return found


def run(folder: Path, order: list[Fate]) -> Course:
    """Play the course and return what happened and what the readers saw."""
    shutil.rmtree(folder, ignore_errors=True)
    place, course = World(folder / "world"), Course()
    _must(place.create)
    with _reading(place, folder, course):
        for number, fate in enumerate(order, start=1):
            code = children.run(lambda: _build(place, number, fate))  # noqa: B023 - run at once
            expected = -9 if fate == "killed" else 0
            # A kill at a step that is not there is a publish.
            if code not in (expected, 0):
                raise BuildError(f"build {number} ({fate}): expected {expected}, ended with {code}")
            if fate == "fails a test":
                course.failed.append(number)
            elif code:
                course.killed.append(number)
            else:
                course.published[number] = time.monotonic()
        _wait_until_seen(folder, max(course.published))
        answer = folder / "answer"
        _must(lambda: _go_back(place, answer))
        course.rolled_back_at = time.monotonic()
        course.rolled_back_to, *course.in_books = map(int, answer.read_text().split())
        _wait_until_seen(folder, course.rolled_back_to)
    return course


def race(folder: Path, each: int) -> list[str]:
    """Let two publishers work at once, and return what is wrong with the outcome."""
    shutil.rmtree(folder, ignore_errors=True)
    place = World(folder)
    _must(place.create)

    def publisher(first: int) -> None:
        for number in range(first, first + each):
            _build(place, number, "published")

    both = [children.start(lambda: publisher(first)) for first in (100, 200)]  # noqa: B023
    codes = [children.ended(process) for process in both]
    answer = folder / "answer"
    _must(lambda: _write_down(place, answer))
    return [
        *([f"publishers ended with {codes}"] if any(codes) else []),
        *answer.read_text().splitlines(),
    ]


def _build(place: World, number: int, fate: Fate) -> None:
    """Be one gate command, without dbt: heal, begin, and publish or fail."""
    with lock.held(place.lock, _LOCK_S, lambda _: None), place.opened() as gold:
        gold.heal()
        world.prepare(gold, number)
        if fate == "fails a test":
            gold.settle(world.build_id(number), "a test failed", datetime.now(UTC))
        elif fate == "killed":
            # Another step each time, over all of a publish's.
            world.publish(steps.stepwise(gold, 1 + number * 7 % 40), number)
        else:
            world.publish(gold, number)


def _go_back(place: World, answer: Path) -> None:
    with place.opened() as gold:
        gold.heal()
        kept = [int(name[1:]) for name in books.published(gold.db)]
        _, shown = gold.rollback(None, datetime.now(UTC), "drill")
    answer.write_text(" ".join(map(str, [int(shown[1:]), *kept])))


def _write_down(place: World, answer: Path) -> None:
    wrong = []
    with place.opened() as gold:
        rows = gold.db.execute(
            "select status, publication from ops.builds order by publication"
        ).fetchall()
        newest = books.published(gold.db)[0]
        held = {
            (build, value)
            for schema, _, build, value in world.inside(gold)
            if schema == engine.GOLD
        }
    numbers = [publication for _, publication in rows]
    if {status for status, _ in rows} != {"published"} or numbers != list(range(1, len(rows) + 1)):
        wrong.append(f"expected every build published in turn, found {rows}")
    if held != {(newest, int(newest[1:]))}:
        wrong.append(f"expected {newest} in the warehouse, found {held}")
    answer.write_text("\n".join(wrong))


@contextmanager
def _reading(place: World, folder: Path, course: Course) -> Iterator[None]:
    """Have readers read from the first publish on to the end."""
    stop = folder / "stop"
    _must(lambda: _build(place, 0, "published"))
    started = [
        children.start(
            lambda: readers.read_in_a_loop(name, place.gold, _notes(folder, name), stop)  # noqa: B023
        )
        for name in readers.NAMES
    ]
    try:
        yield
    finally:
        stop.touch()
        codes = [children.ended(process) for process in started]
        course.told = [readers.told(name, _notes(folder, name)) for name in readers.NAMES]
    if any(codes):
        raise BuildError(f"readers ended with {codes}")


def _wait_until_seen(folder: Path, number: int) -> None:
    """Give every reader the time that it is allowed, and no more than it takes."""
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        found = [readers.told(name, _notes(folder, name)) for name in readers.NAMES]
        if all(one.sights and one.sights[-1][1] == number for one in found):
            return
        time.sleep(_POLL_S)


def _notes(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(' ', '-')}.jsonl"


def _must(act: Callable[[], None]) -> None:
    code = children.run(act)
    if code:
        raise BuildError(f"a step of the drill itself ended with {code}")
