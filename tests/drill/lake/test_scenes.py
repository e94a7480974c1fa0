"""What scenes do and ask for, on a stage that only takes notes."""

from pathlib import Path
from typing import Any

import pytest

from drill.lake.jobs import METRIC_JOBS
from drill.lake.scenes import scenes
from drill.lake.stage import WrongError


class NotedJobs:
    """Comes to every point, and is refused as often as told."""

    def __init__(self, name: str, notes: list[str], retries: int) -> None:
        self.name = name
        self._notes = notes
        self._retries = retries
        self._meet = ""

    def order(self, job: str, meet: str = "") -> None:
        self._notes.append(f"{self.name} {job}")
        self._meet = meet
        Path(f"{meet}.{self.name}").touch()

    def answer(self) -> dict[str, Any]:
        assert Path(f"{self._meet}.go").exists(), "both are let go"
        return {"retries": self._retries}

    def run(self, job: str) -> dict[str, Any]:
        self._notes.append(f"{self.name} {job}")
        return {"freed_bytes": 7, "tables": {"t": {"expired_snapshots": 2}}}

    def dies(self, job: str, point: str, nth: int) -> str:
        self._notes.append(f"{self.name} {job} dies")
        return f"{point} {nth}"


class NotedStage:
    def __init__(self, state: Path, retries: int = 1) -> None:
        (state / "run").mkdir()
        self.state = state
        self.notes: list[str] = []
        self._retries = retries
        self.jobs = self.start("steady")

    def start(self, name: str) -> NotedJobs:
        return NotedJobs(name, self.notes, self._retries)

    def next_round(self) -> None:
        self.notes.append("round")

    def compare(self, *, with_metrics: bool = False) -> str:
        self.notes.append("compare all" if with_metrics else "compare")
        return "same"


def play(name: str, stage: NotedStage, rounds: int = 1) -> list[str]:
    [scene] = [one for one in scenes(rounds) if one.name == name]
    return list(scene.play(stage))  # type: ignore[arg-type]


def test_a_killed_compaction_is_followed_by_another(tmp_path: Path) -> None:
    stage = NotedStage(tmp_path)
    assert play("compact killed after-publish 3", stage) == ["killed at after-publish 3"]
    assert stage.notes == ["round", "victim compact dies", "steady compact"]


def test_a_killed_upkeep_had_something_to_rewrite_and_is_done_again(tmp_path: Path) -> None:
    stage = NotedStage(tmp_path)
    assert play("maintain killed in-rewrite 1", stage)[-1] == "upkeep after it freed 7 bytes"
    assert stage.notes[:-4] == ["round", "steady compact"] * 5
    assert stage.notes[-4:] == [
        *("victim maintain dies", "round", "steady compact", "steady maintain")
    ]


def test_a_killed_metric_is_followed_by_all_of_them_and_compared(tmp_path: Path) -> None:
    stage = NotedStage(tmp_path)
    told = play("anomalies killed after-append 1", stage)
    assert told == ["killed at after-append 1", "same"]
    assert stage.notes[:3] == ["round", "steady compact", "victim anomalies dies"]
    assert stage.notes[3:] == [*(f"steady {job}" for job in METRIC_JOBS), "compare all"]


def test_the_race_has_upkeep_while_both_stand_there(tmp_path: Path) -> None:
    stage = NotedStage(tmp_path)
    told = play("two compactors, 6 rounds", stage, rounds=6)
    assert told == [
        "6 rounds, in each both stood before the fast-forward, 12 refusals",
        "upkeep in every 5th meanwhile: 2 snapshots expired",
    ]
    one = ["round", "one compact", "two compact", "compare"]
    assert stage.notes == [*one * 4, *one[:3], "steady maintain", "compare", *one]


def test_a_race_that_nobody_lost_is_red(tmp_path: Path) -> None:
    with pytest.raises(WrongError, match="round 0: nobody was refused"):
        play("two compactors, 1 rounds", NotedStage(tmp_path, retries=0))


def test_metrics_are_compared_before_and_after_an_upkeep(tmp_path: Path) -> None:
    stage = NotedStage(tmp_path)
    assert play("metrics after all that", stage) == ["same", "same"]
    every = [f"steady {job}" for job in METRIC_JOBS]
    upkeep = ["round", "steady compact", "steady maintain"]
    assert stage.notes == [*every, "compare all", *upkeep, *every, "compare all"]
