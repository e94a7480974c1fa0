"""Rows 1 to 4: a lander that dies, or is asked to."""

import time
from typing import Final

from drill.matrix.members import STOP_S, Member, Orders
from drill.matrix.row import Row
from drill.matrix.sight import Ends
from drill.matrix.stage import Stage
from ingestion.land.protocol import Partition

_HELD_S: Final = 5.0  # an object is due after two: what is held for longer stands before its PUT


def before_put(stage: Stage) -> None:
    """Kill a lander that holds records: after a poll, before a PUT, and with a PUT under way."""
    stage.lander(name=f"r{stage.row}-first")
    stage.steady()
    stage.members[-1].process.end()
    for place in ("after-poll:20", "before-put:9"):
        one = stage.lander(Orders(failpoint=place))
        stage.prove(f"{one.name} is gone by signal 9 at {place}", one.process.was_killed)
    one = stage.lander(Orders(failpoint="before-put:9:hold"))
    stage.prove(f"a PUT of {one.name} stands before the store", lambda: _holds(one))
    one.process.kill()
    stage.prove(f"{one.name} is gone by signal 9 with it", one.process.was_killed)
    stage.audit_now()
    stage.lander()
    stage.healed()


def after_put(stage: Stage) -> None:
    """Kill a lander whose object is durable before it can commit or tell it."""
    stage.lander(name=f"r{stage.row}-first")
    stage.steady()
    stage.members[-1].process.end()
    before = stage.sight.landed(stage.sight.ends())
    one = stage.lander(Orders(failpoint="after-put:9"))
    stage.prove(f"{one.name} is gone by signal 9 at after-put", one.process.was_killed)
    stage.prove("bronze has an object that it never told of", lambda: _untold(stage, one, before))
    stage.lander()
    stage.healed()


def in_revoke(stage: Stage) -> None:
    """Kill a lander inside its revoke callback, and one inside its shutdown flush."""
    first = stage.lander(Orders(failpoint="in-revoke:1"))
    stage.steady()
    stage.lander()
    stage.prove(f"{first.name} is gone by signal 9 inside revoke", first.process.was_killed)
    second = stage.lander(Orders(failpoint="in-revoke:1"))
    stage.prove(f"{second.name} has partitions of its own", lambda: second.follows())
    second.process.terminate()
    stage.prove(f"{second.name} is gone by signal 9 in its flush", second.process.was_killed)
    stage.healed()


def asked_to_stop(stage: Stage) -> None:
    """Send SIGTERM to a lander under load."""
    first, _ = stage.landers(2)
    stage.steady()
    held: dict[str, int] = {}
    stage.prove(f"{first.name} holds records", lambda: held.update(_positions(first)) or held)
    began = time.monotonic()
    first.process.terminate()
    stage.expect(
        f"{first.name} has ended with exit code 0 within {STOP_S:.0f} s",
        lambda: first.process.exit_code == 0,
        STOP_S,
    )
    stage.notes["stopped_s"] = round(time.monotonic() - began, 2)
    stage.expect(f"{first.name} dropped nothing", lambda: not first.said("dropped"), 0)
    stage.expect(
        f"{first.name} landed all that it held, in each of {len(held)} partitions",
        lambda: all(_told(first).get(name, 0) >= position for name, position in held.items()),
        1.0,
    )
    stage.healed()


def _holds(one: Member) -> bool:
    rows = one.status().get("partitions", [])
    return any((row["oldest_buffered_s"] or 0.0) > _HELD_S for row in rows)


def _untold(stage: Stage, one: Member, before: Ends) -> bool:
    """Tell whether bronze has more than it had ``before`` and what ``one`` says it landed."""
    told = _told(one)
    return any(
        end > max(before[place], told.get(str(place), 0))
        for place, end in stage.sight.landed(before).items()
    )


def _told(one: Member) -> dict[str, int]:
    """Return by partition how far a lander says that it has landed."""
    told: dict[str, int] = {}
    for line in one.said("landed"):
        told[line["partition"]] = max(line["next"], told.get(line["partition"], 0))
    return told


def _positions(one: Member) -> dict[str, int]:
    """Return by partition how far a lander has read, where it holds what is not landed."""
    rows = one.status().get("partitions", [])
    return {
        str(Partition(row["topic"], row["partition"])): row["position"]
        for row in rows
        if row["buffered_records"]
    }


ROWS: Final = (
    Row(1, "SIGKILL after poll, before PUT", before_put, frozenset({"commit-before-put"})),
    Row(2, "SIGKILL after PUT, before commit", after_put),
    Row(3, "SIGKILL inside revoke and in the shutdown flush", in_revoke),
    Row(4, "SIGTERM under load", asked_to_stop),
)
