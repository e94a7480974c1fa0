"""Readers in a loop: one that stays, one that opens anew each time, one that is a new process."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dbt_stocks.reader import GoldReader
from drill.publish import children, world
from ingestion.errors import BuildError

_PAUSE_S: Final = 0.01


@dataclass
class Told:
    """What a reader has told: when it first saw which build, and what went wrong."""

    name: str
    reads: int = 0
    sights: list[tuple[float, int]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def after(self, moment: float) -> list[tuple[float, int]]:
        """Return what was first seen after a moment."""
        return [sight for sight in self.sights if sight[0] >= moment]

    def first_at_least(self, number: int) -> float | None:
        """Return when a build or a later one was first seen, None where it never was."""
        return next((at for at, seen in self.sights if seen >= number), None)


def read_in_a_loop(name: str, gold: Path, notes: Path, stop: Path) -> None:
    """Read until the file ``stop`` is there, and note what was seen and what went wrong."""
    one_read = _READERS[name](gold)
    last, reads = 0, 0
    with notes.open("w") as file:
        while not stop.exists():
            try:
                number = one_read()
            except Exception as error:  # whatever it is, it is what the drill looks for
                file.write(json.dumps({"problem": repr(error)}) + "\n")
                break
            reads += 1
            if number != last:
                file.write(json.dumps({"at": time.monotonic(), "build": number}) + "\n")
                file.flush()
            last = number
            time.sleep(_PAUSE_S)
        file.write(json.dumps({"reads": reads}) + "\n")


def told(name: str, notes: Path) -> Told:
    """Return what a reader that has ended has noted."""
    found = Told(name)
    for line in notes.read_text().splitlines():
        note = json.loads(line)
        if "problem" in note:
            found.problems.append(note["problem"])
        elif "reads" in note:
            found.reads = note["reads"]
        else:
            found.sights.append((note["at"], note["build"]))
    return found


def _staying(gold: Path) -> Callable[[], int]:
    reader = GoldReader(gold)

    def read() -> int:
        with reader.pinned() as build:
            number = world.seen(build)
            time.sleep(_PAUSE_S)
            if world.seen(build) != number:
                raise BuildError(f"a build was {number}, and another one within one page")
        return number

    return read


def _anew(gold: Path) -> Callable[[], int]:
    def read() -> int:
        with GoldReader(gold) as reader, reader.pinned() as build:
            return world.seen(build)

    return read


def _in_a_new_process(gold: Path) -> Callable[[], int]:
    answer = gold.parent / "seen"

    def write_down() -> None:
        answer.write_text(str(_anew(gold)()))

    def read() -> int:
        code = children.run(write_down)
        if code:
            raise BuildError(f"a reader ended with {code}")
        return int(answer.read_text())

    return read


_READERS: Final = {
    "a reader that stays": _staying,
    "a new reader each time": _anew,
    "a new process each time": _in_a_new_process,
}
NAMES: Final = tuple(_READERS)
