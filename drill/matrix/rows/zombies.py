"""Rows 5 and 6: two landers that both believe that they own a partition."""

from collections.abc import Iterable
from typing import Any, Final

from drill.matrix.errors import UnprovenError
from drill.matrix.members import Member, Orders
from drill.matrix.row import Row
from drill.matrix.stage import Stage
from ingestion.contracts.topics import TOPICS

_FENCE: Final = frozenset({"overwrite", "end-in-key", "adopt-unchecked"})
_COLLISIONS: Final = 5
_EXISTS: Final = "exists"
_LANDED: Final = "landed"
Line = dict[str, Any]


def zombie(stage: Stage) -> None:
    """Freeze the owner exactly before a PUT, let another one land, and thaw it."""
    owner = stage.lander(Orders(failpoint="before-put:40:stop"))
    stage.prove(f"{owner.name} stands still before a PUT", lambda: owner.process.is_frozen, 90)
    heir = stage.lander()
    _pass_by(stage, heir)
    _wake(stage, owner, heir)
    stage.healed()


def two_writers(stage: Stage) -> None:
    """Put two landers on every partition by assignment; one is held before its PUT meanwhile."""
    first = stage.lander(Orders(failpoint="before-put:40:stop", forced=tuple(TOPICS)))
    stage.prove(f"{first.name} stands still before a PUT", lambda: first.process.is_frozen, 90)
    second = stage.lander(Orders(forced=tuple(TOPICS)))
    _pass_by(stage, second)
    _wake(stage, first, second)
    stage.prove(
        f"both wrote the same ranges {_COLLISIONS} times more",
        lambda: _collisions(first, second) > _COLLISIONS,
        60,
    )
    stage.healed()


def _pass_by(stage: Stage, heir: Member) -> None:
    stage.prove(f"{heir.name} reads what the frozen one owned", lambda: heir.follows(), 60)
    targets = stage.require_ends(UnprovenError)
    stage.prove("bronze has passed the frozen PUT", lambda: stage.sight.missing(targets) == 0, 60)


def _wake(stage: Stage, owner: Member, heir: Member) -> None:
    """Thaw the owner, and see what became of its PUT of a range that the heir had landed."""
    taken, told = {_range(line) for line in heir.said("landed")}, len(_puts(owner))
    owner.process.thaw()
    stage.prove(
        f"{owner.name} woke and sent the PUT of a range that {heir.name} had landed",
        lambda: _answered(_puts(owner)[told:], taken),
    )
    first = _answered(_puts(owner)[told:], taken)[0]
    stage.proofs.append(f"its PUT of {first['partition']} from {first['start']}: {_outcome(first)}")
    if not stage.options.broken:  # else it is the auditors' to notice
        stage.expect(
            "the store has refused all of those: the key exists",
            lambda: {_outcome(one) for one in _answered(_puts(owner)[told:], taken)} == {_EXISTS},
            0,
        )


def _answered(lines: Iterable[Line], ranges: set[tuple[object, object]]) -> list[Line]:
    """Return those PUTs of the ranges that the store has answered.

    A connection that was closed while the owner stood still answers nothing.
    """
    return [
        line for line in lines if _range(line) in ranges and _outcome(line) in (_EXISTS, _LANDED)
    ]


def _range(line: Line) -> tuple[object, object]:
    return line["partition"], line["start"]


def _puts(one: Member) -> list[Line]:
    return one.said("landed", "not_landed")


def _outcome(line: Line) -> object:
    return line.get("outcome", _LANDED)


def _collisions(first: Member, second: Member) -> int:
    """Return how many ranges both tried to write from the same first offset."""
    tried = [{_range(line) for line in _puts(one)} for one in (first, second)]
    return len(tried[0] & tried[1])


ROWS: Final = (
    Row(5, "zombie: owner frozen beyond its session, thawed", zombie, _FENCE - {"adopt-unchecked"}),
    Row(6, "two landers forced onto the same partitions", two_writers, _FENCE),
)
