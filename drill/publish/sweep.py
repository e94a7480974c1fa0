"""Kill an operation before each of its steps in turn, or let each byte be the disk's last."""

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from dbt_stocks import books, engine, files
from dbt_stocks.publishing import DuckDBGold
from dbt_stocks.reader import GoldReader
from drill.publish import children, steps, world
from drill.publish.world import World
from ingestion.errors import BuildError

_KILLED: Final = -9
_FULL: Final = 2
# Added to a build's number in an exit code: 1 is that of an error.
_SAW: Final = 10
# The world is shown build 2 of two, and the operation may show one other.
_FIRST, _SHOWN, _NEXT, _LATER = 1, 2, 3, 9
# A log of the drill's statements is some 10 KB, a published file or the warehouse some MB.
_SMALLEST_DISK_BYTES: Final = 512
_DISK_GROWTH: Final = 1.4
_LARGEST_DISK_BYTES: Final = 16 * 1024**2


@dataclass(frozen=True)
class Operation:
    """Something that may be cut short; ``shows`` is the build that it makes readers see."""

    name: str
    prepare: Callable[[DuckDBGold], None]
    act: Callable[[DuckDBGold], None]
    shows: int


@dataclass
class Found:
    """What a sweep has found: of how many ends readers were left on the old and the new build."""

    operation: str
    cuts: int = 0
    left_on_old: int = 0
    left_on_new: int = 0
    wrong: int = 0

    def line(self) -> str:
        """Return one line for people."""
        sides = f"{self.left_on_old} left the old build, {self.left_on_new} the new one"
        return f"{self.operation}: cut short {self.cuts} times, {sides}, {self.wrong} went wrong"


def operations() -> list[Operation]:
    """Return what is cut short: a publish, a rollback, a failed build, and healing itself."""
    now = datetime.now(UTC)

    def begun(gold: DuckDBGold) -> None:
        world.prepare(gold, _NEXT)

    def lost(gold: DuckDBGold) -> None:
        """Leave an interrupted build, a link to nothing, and a file that was being written."""
        world.prepare(gold, _NEXT)
        (gold.folder / files.CURRENT).unlink()
        (gold.folder / files.CURRENT).symlink_to(files.path_of(gold.folder, "b1").name)
        files.path_of(gold.folder, world.build_id(_SHOWN)).unlink()
        (gold.folder / ".gold-b3.duckdb.tmp").write_bytes(b"half")

    return [
        Operation("publish", begun, lambda gold: world.publish(gold, _NEXT), _NEXT),
        Operation("failed build", begun, lambda gold: _settled(gold, now), _SHOWN),
        Operation("rollback", lambda _: None, lambda gold: _went_back(gold, now), _FIRST),
        Operation("heal", lost, _healed, _SHOWN),
    ]


def kills(folder: Path, operation: Operation, stride: int) -> Found:
    """Kill an operation before each of its steps, or every few, until it has none left."""
    found = Found(f"{operation.name}, killed")
    for step, state in _states(folder, operation, stride):
        code = children.run(lambda: _act(state, operation, step))  # noqa: B023 - run at once
        if code not in (0, _KILLED):
            found.wrong += 1
        _judge(found, state, operation)
        if code != _KILLED:
            return found
    raise AssertionError("states do not end")


def full_disks(folder: Path, operation: Operation, stride: int) -> Found:
    """Let files grow to a size and no further, a larger one each time, until it is enough."""
    found = Found(f"{operation.name}, disk full")
    for size, state in _states(folder, operation, stride):
        limit = int(_SMALLEST_DISK_BYTES * _DISK_GROWTH ** (size - 1))
        if limit > _LARGEST_DISK_BYTES:
            raise BuildError(f"{operation.name}: {limit} bytes are too few")
        code = children.run(lambda: _act_on_small_disk(state, operation, limit))  # noqa: B023
        _judge(found, state, operation)
        if code == 0:
            return found
    raise AssertionError("states do not end")


def _states(folder: Path, operation: Operation, stride: int) -> Iterator[tuple[int, World]]:
    """Return a world to spoil for 1 and every few numbers after it, ready for the operation."""
    base = World(folder / "base")
    shutil.rmtree(folder, ignore_errors=True)
    _must(lambda: _make(base, operation))
    for number in count(1, stride):
        state = World(folder / str(number))
        shutil.copytree(base.folder, state.folder, symlinks=True)
        yield number, state
        shutil.rmtree(state.folder)


def _make(base: World, operation: Operation) -> None:
    base.create()
    with base.opened() as gold:
        for number in (_FIRST, _SHOWN):
            world.prepare(gold, number)
            world.publish(gold, number)
        operation.prepare(gold)


def _act(state: World, operation: Operation, kill_at: int) -> None:
    with state.opened() as gold:
        operation.act(steps.stepwise(gold, kill_at))


def _act_on_small_disk(state: World, operation: Operation, limit: int) -> None:
    """Act as on a disk that has no more room, and clean up on it as far as that goes."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
    code = _FULL
    try:
        with state.opened() as gold:
            operation.act(gold)
        code = 0
    except (BuildError, OSError):
        # As the gate does; on such a disk this may fail too, and is the next command's to do.
        with state.opened() as gold:
            gold.settle(world.build_id(_NEXT), "disk full", datetime.now(UTC))
    finally:
        os._exit(code)


def _judge(found: Found, state: World, operation: Operation) -> None:
    """Look at what is left, let the next command heal it, look again, and publish on top."""
    found.cuts += 1
    code = children.run(lambda: _exit_with(_SAW + _looked_at(state, operation))) - _SAW
    if code == operation.shows and operation.shows != _SHOWN:
        found.left_on_new += 1
    elif code == _SHOWN:
        found.left_on_old += 1
    else:
        found.wrong += 1


def _exit_with(code: int) -> None:
    sys.stderr.flush()
    os._exit(code)


def _looked_at(state: World, operation: Operation) -> int:
    """Return the build that the world comes to show.

    Raises:
        BuildError: something is not of one build, or not in order.
    """
    allowed = {_SHOWN, operation.shows}
    before = _shown(state) if operation.name != "heal" else _SHOWN
    with state.opened() as gold:
        gold.heal()
        truth = books.published(gold.db)[0]
        number = int(truth[1:])
        held = {
            (schema, rows, value, build if schema == engine.GOLD else truth)
            for schema, rows, build, value in world.inside(gold)
        }
        running = books.running(gold.db)
    _require(before in allowed and number in allowed, f"{before} and {number} of {allowed}")
    whole = {(one, world.ROWS, number, truth) for one in (engine.GOLD, engine.CANDIDATE)}
    _require(held == whole, f"expected {whole} in the warehouse, found {held}")
    _require(not running, f"{running} still running")
    _require(_shown(state) == number, "readers see another build than the books tell of")
    with state.opened() as gold:
        world.prepare(gold, _LATER)
        world.publish(gold, _LATER)
    _require(_shown(state) == _LATER, "the next build is not seen")
    left = [path.name for path in state.gold.iterdir() if path.name.startswith(".")]
    _require(not left, f"{left} left over")
    return number


def _shown(state: World) -> int:
    with GoldReader(state.gold) as reader, reader.pinned() as build:
        return world.seen(build)


def _settled(gold: DuckDBGold, now: datetime) -> None:
    _require(not gold.settle(world.build_id(_NEXT), "a test failed", now), "published")


def _went_back(gold: DuckDBGold, now: datetime) -> None:
    _require(gold.rollback(None, now, "drill") == ("b2", "b1"), "another build")


def _healed(gold: DuckDBGold) -> None:
    _require(bool(gold.heal()), "nothing to heal")


def _must(act: Callable[[], None]) -> None:
    _require(children.run(act) == 0, "the drill's own world could not be made")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise BuildError(what)
