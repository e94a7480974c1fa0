"""The parts of the lake's drill that could make it green for nothing."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from drill.lake import breaks, command, worker
from drill.lake.breaks import Point
from drill.lake.command import SceneOutcome
from drill.lake.content import differences
from drill.lake.jobs import Jobs
from drill.lake.records import BARS, TRADES, of_round
from drill.lake.scenes import Scene, scenes
from drill.lake.stage import WrongError
from ingestion.errors import StackError
from spark_jobs.model import MODEL
from spark_jobs.transforms.decode import Judge


def verdicts(number: int) -> Counter[str | None]:
    judge = Judge(MODEL)
    return Counter(judge.value(value, topic).reason for topic, _, value in of_round(number))


def test_a_round_has_new_events_copies_and_a_bad_record() -> None:
    first, second = of_round(0), of_round(1)
    values = [value for _, _, value in first]
    assert len(values) - len(set(values)) == 2, "copies within the round"
    assert len({value for _, _, value in second} & set(values)) == 1, "a copy of an earlier one"
    assert {topic for topic, _, _ in first} == {"stock-market-batch", "stock-market-realtime"}
    changed = [json.loads(value)["data"] for _, _, value in second if b'"ref":"' in value]
    assert [data["action"] for data in changed] == ["correct", "cancel"]
    there = {json.loads(value).get("event_id") for value in values}
    assert {data["ref"] for data in changed} <= there, "trades of the round before"
    assert verdicts(1) == {None: TRADES + BARS + len(changed) + 3, "contract": 1}


class Steps:
    def __init__(self) -> None:
        self.done: list[str] = []

    def step(self, name: str) -> str:
        self.done.append(name)
        return name.upper()


@pytest.mark.parametrize(
    ("side", "order"), [("before", ["a", "!", "b"]), ("after", ["a", "b", "!"])]
)
def test_a_point_is_come_to_at_its_turn(
    monkeypatch: pytest.MonkeyPatch, side: str, order: list[str]
) -> None:
    monkeypatch.setitem(breaks.POINTS, "here", Point(Steps, "step", side))
    steps = Steps()
    with breaks.at("here", 2, lambda: steps.done.append("!")):
        assert [steps.step("a"), steps.step("b")] == ["A", "B"]
    assert steps.done == order
    steps.step("c")
    assert steps.done == [*order, "c"]


def test_every_point_is_a_step_that_there_is() -> None:
    for point in breaks.POINTS.values():
        assert callable(getattr(point.owner, point.step))
        assert point.side in ("before", "within", "after")
    names = {
        name for scene in scenes(1) for name in breaks.POINTS if f"killed {name} " in scene.name
    }
    assert names == set(breaks.POINTS)
    jobs = {scene.name.split()[0] for scene in scenes(1) if " killed " in scene.name}
    assert jobs == worker._JOBS.keys()


def test_lakes_differ_by_what_they_have_more_and_less_of() -> None:
    mine = {"t": Counter({("a",): 1, ("b",): 2}), "u": Counter({("x",): 1})}
    assert differences(mine, mine) == []
    other = mine | {"t": Counter({("a",): 2, ("b",): 1})}
    assert differences(mine, other) == ["t: 1 rows too many, 1 missing: ('b',)"]


class Told:
    """A process that answers instead of dying."""

    def __init__(self, answer: bytes) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO(answer)

    def poll(self) -> None:
        return None

    def wait(self, _: float) -> int:
        return 0


@pytest.mark.parametrize("answer", [b'{"commits": 4}\n', b""])
def test_a_job_that_comes_through_is_not_taken_for_killed(tmp_path: Path, answer: bytes) -> None:
    jobs = object.__new__(Jobs)
    jobs.name, jobs._folder, jobs._log = "victim", tmp_path, tmp_path / "log"
    jobs._popen = Told(answer)  # type: ignore[assignment]
    with pytest.raises(StackError, match="compact never came to after-append 9"):
        jobs.dies("compact", "after-append", 9)


class Calm:
    """A stage on which nothing is wrong, or the comparison finds something."""

    def __init__(self, wrong: str = "") -> None:
        self._wrong = wrong

    def compare(self) -> str:
        if self._wrong:
            raise WrongError(self._wrong)
        return "same"

    def audit(self) -> str:
        return "ok"


def test_a_scene_is_green_only_when_compared_and_audited() -> None:
    scene: Any = Scene("one", lambda _: iter(["seen"]))
    good = command._played(scene, Calm())  # type: ignore[arg-type]
    assert (good.verdict, good.proofs) == ("green", ["seen", "same", "ok"])
    bad = command._played(scene, Calm("t: 1 missing"))  # type: ignore[arg-type]
    assert (bad.verdict, bad.reason) == ("red", "t: 1 missing")
    assert SceneOutcome("never played").verdict == "red"
