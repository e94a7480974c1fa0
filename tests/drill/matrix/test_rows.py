"""What rows make of landers' logs, with landers that say what is written down."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drill.matrix.auditors import Verdict
from drill.matrix.errors import StuckError, UnjudgedError, UnprovenError, ViolatedError
from drill.matrix.members import rebalances
from drill.matrix.rows import deaths, zombies
from drill.matrix.stage import Options, Stage

Line = dict[str, Any]
PLACE = "stock-quotes/0"


class Told:
    """A lander that has said some lines, and says others once it is thawed or asked to end."""

    def __init__(self, before: list[Line], after: list[Line], held: int = 0) -> None:
        self.name = "one"
        self._lines, self._after = before, after
        self._held = held
        self.process = SimpleNamespace(thaw=self._go_on, terminate=self._go_on, exit_code=0)

    def said(self, *events: str) -> list[Line]:
        return [line for line in self._lines if line["event"] in events]

    def status(self) -> dict[str, Any]:
        row = {"topic": "stock-quotes", "partition": 0, "position": self._held}
        return {"partitions": [{**row, "buffered_records": self._held}]}

    def _go_on(self) -> None:
        self._lines = self._lines + self._after


def landed(start: int, end: int = 0) -> Line:
    return {"event": "landed", "partition": PLACE, "start": start, "next": end}


def not_landed(start: int, outcome: str = "exists") -> Line:
    return {"event": "not_landed", "partition": PLACE, "start": start, "outcome": outcome}


@pytest.fixture
def stage() -> Stage:
    """A stage without a cluster."""
    made: Any = None
    return Stage(made, made, made, Options(), Path(), 5)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there at once does not come: these landers say no more."""

    def until(condition: Callable[[], object], _: float, what: str, error: Any) -> float:
        if not condition():
            raise error(what)
        return 0.0

    monkeypatch.setattr("drill.matrix.stage.until", until)


def wake(stage: Stage, *after: Line) -> None:
    owner: Any = Told([landed(0, 10)], list(after))
    heir: Any = Told([landed(10, 20)], [])
    zombies._wake(stage, owner, heir)


def test_a_zombies_put_is_proven_by_the_range_that_its_heir_had_landed(stage: Stage) -> None:
    wake(stage, not_landed(40), not_landed(10))

    assert stage.proofs[-1] == f"its PUT of {PLACE} from 10: exists"


@pytest.mark.parametrize(
    "after", [[], [landed(40, 50)], [not_landed(40)], [not_landed(10, "unknown")]]
)
def test_a_put_of_another_range_proves_nothing(stage: Stage, after: list[Line]) -> None:
    with pytest.raises(UnprovenError, match="woke and sent the PUT of a range"):
        wake(stage, *after)


def test_the_store_must_have_refused_every_put_of_a_zombie(stage: Stage) -> None:
    with pytest.raises(StuckError, match="the key exists"):
        wake(stage, not_landed(10), landed(10, 20))


def test_with_the_fence_broken_a_zombies_put_is_left_to_the_auditors(stage: Stage) -> None:
    stage.options = Options(broken="overwrite")

    wake(stage, landed(10, 20))

    assert stage.proofs[-1] == f"its PUT of {PLACE} from 10: landed"


def stop(stage: Stage, monkeypatch: pytest.MonkeyPatch, *after: Line) -> None:
    one: Any = Told([landed(0, 10)], list(after), held=25)
    monkeypatch.setattr(stage, "landers", lambda _: (one, one))
    monkeypatch.setattr(stage, "steady", lambda: None)
    deaths.asked_to_stop(stage)


def test_what_is_asked_to_stop_must_land_each_partition_to_its_position(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(stage, monkeypatch, landed(10, 20), landed(20, 25))

    assert stage.healed_at is not None


@pytest.mark.parametrize(
    "after",
    [
        [landed(10, 24)],
        [landed(10, 25) | {"partition": "stock-quotes/1"}],
        [landed(10, 25), {"event": "dropped", "partition": PLACE}],
    ],
    ids=["too little", "another partition", "dropped"],
)
def test_one_more_object_is_not_all_that_was_held(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: list[Line]
) -> None:
    with pytest.raises(StuckError):
        stop(stage, monkeypatch, *after)


@pytest.mark.parametrize(
    ("events", "count"),
    [
        ("", 0),
        ("assigned", 1),
        ("assigned assigned", 2),
        ("revoked assigned revoked assigned", 2),
        ("revoked revoked assigned lost assigned assigned", 4),
    ],
)
def test_a_rebalance_is_counted_once(events: str, count: int) -> None:
    assert rebalances(events.split()) == count


@pytest.mark.parametrize("word", ["ok", "behind"])
def test_auditors_in_the_middle_of_a_fault_may_find_landing_behind(stage: Stage, word: str) -> None:
    judging(stage, Verdict(word))

    stage.audit_now()

    assert stage.reactions


def test_auditors_that_cannot_judge_in_the_middle_of_a_fault_are_red(stage: Stage) -> None:
    judging(stage, Verdict("ok"), Verdict("unknown"))
    with pytest.raises(UnjudgedError, match="during the fault: unknown"):
        stage.audit_now()

    bad = {"name": "kafka.committed", "status": "violated", "topic": None, "detail": "ahead"}
    judging(stage, Verdict("violated", [bad]))
    with pytest.raises(ViolatedError) as caught:
        stage.audit_now()
    assert caught.value.checks == {"kafka.committed"}


def judging(stage: Stage, *found: Verdict) -> None:
    made: Any = SimpleNamespace(judge=lambda: list(found))
    stage.auditors = made
