"""Rows 5 and 6: two landers that both believe that they own a partition."""

from typing import Final

from drill.matrix.errors import UnprovenError
from drill.matrix.members import Member, Orders
from drill.matrix.row import Row
from drill.matrix.stage import Stage
from ingestion.contracts.topics import TOPICS

_FENCE: Final = frozenset({"overwrite", "end-in-key", "adopt-unchecked"})
_COLLISIONS: Final = 5


def zombie(stage: Stage) -> None:
    """Freeze the owner exactly before a PUT, let another one land, and thaw it."""
    owner = stage.lander(Orders(failpoint="before-put:40:stop"))
    stage.prove(f"{owner.name} stands still before a PUT", lambda: owner.process.is_frozen, 90)
    heir = stage.lander()
    _pass_by(stage, heir)
    told = len(_puts(owner))
    owner.process.thaw()
    stage.prove(f"{owner.name} woke and sent its PUT", lambda: len(_puts(owner)) > told)
    stage.proofs.append(f"its PUT ended as {_outcome(_puts(owner)[told])}")
    stage.healed()


def two_writers(stage: Stage) -> None:
    """Put two landers on every partition by assignment; one is held before its PUT meanwhile."""
    first = stage.lander(Orders(failpoint="before-put:40:stop", forced=tuple(TOPICS)))
    stage.prove(f"{first.name} stands still before a PUT", lambda: first.process.is_frozen, 90)
    second = stage.lander(Orders(forced=tuple(TOPICS)))
    _pass_by(stage, second)
    told = len(_puts(first))
    first.process.thaw()
    stage.prove(f"{first.name} woke and sent its PUT", lambda: len(_puts(first)) > told)
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


def _puts(one: Member) -> list[dict[str, object]]:
    return one.said("landed", "not_landed")


def _outcome(line: dict[str, object]) -> object:
    return line.get("outcome", "landed")


def _collisions(first: Member, second: Member) -> int:
    """Return how many ranges both tried to write from the same first offset."""
    tried = [{(line["partition"], line["start"]) for line in _puts(one)} for one in (first, second)]
    return len(tried[0] & tried[1])


ROWS: Final = (
    Row(5, "zombie: owner frozen beyond its session, thawed", zombie, _FENCE - {"adopt-unchecked"}),
    Row(6, "two landers forced onto the same partitions", two_writers, _FENCE),
)
