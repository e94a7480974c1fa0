"""A stage is a process: its report is read, its failure is told, and it ends with its run."""

from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline.stages import Runner, Stage, StageError
from tests.pipeline.conftest import MakeStage


class InterruptedByTestError(Exception):
    """What a tick raises in these tests."""


def runner(folder: Path) -> Runner:
    return Runner(folder, lambda *_: None)


def test_a_stage_hands_over_its_report_and_says_it(tmp_path: Path, make_stage: MakeStage) -> None:
    outcome = runner(tmp_path / "run").run(make_stage("read bars", {"rows": 3}))

    assert outcome.report == {"rows": 3}
    assert outcome.says == "saw {'rows': 3}"
    assert (tmp_path / "run" / "read-bars.log").read_text() == "line 0\n"


def test_a_stage_that_fails_is_told_with_its_code_its_last_lines_and_its_log(
    tmp_path: Path, make_stage: MakeStage
) -> None:
    with pytest.raises(StageError) as caught:
        runner(tmp_path).run(make_stage("load", {"rows": 3}, code=7, lines=40))

    head, *tail = str(caught.value).splitlines()
    assert "stage 'load' failed" in head
    assert "ended with 7" in head
    assert str(tmp_path / "load.log") in head
    assert [line.strip() for line in tail] == [f"line {number}" for number in range(25, 40)]


def test_a_stage_that_leaves_no_report_failed_even_where_an_earlier_run_left_one(
    tmp_path: Path, make_stage: MakeStage
) -> None:
    runner(tmp_path).run(make_stage("load", {"rows": 3}))

    with pytest.raises(StageError, match="left no report"):
        runner(tmp_path).run(make_stage("load"))


def test_a_stage_ends_with_its_run(tmp_path: Path, make_stage: MakeStage) -> None:
    def tick(_name: str, _seconds: float) -> None:
        children.extend(set(psutil.Process().children()) - others)
        raise InterruptedByTestError

    others = set(psutil.Process().children())  # other tests' Spark, for one
    children: list[psutil.Process] = []

    with pytest.raises(InterruptedByTestError):
        Runner(tmp_path, tick).run(make_stage("wait", is_endless=True))

    assert [child.is_running() for child in children] == [False]


def test_a_run_is_told_how_long_its_stage_has_been_running(
    tmp_path: Path, make_stage: MakeStage
) -> None:
    ticks: list[tuple[str, float]] = []

    outcome = Runner(tmp_path, lambda *tick: ticks.append(tick)).run(make_stage("load", {"n": 1}))

    assert {name for name, _ in ticks} == {"load"}
    assert [seconds for _, seconds in ticks] == sorted(seconds for _, seconds in ticks)
    assert 0 <= ticks[0][1] <= ticks[-1][1] <= outcome.seconds


def test_a_stage_gets_the_environment_of_its_run(tmp_path: Path) -> None:
    where = Stage("where", ("site",), str, reports=False)

    Runner(tmp_path, lambda *_: None, {"PYTHONUSERBASE": "/elsewhere"}).run(where)

    assert "USER_BASE: '/elsewhere'" in (tmp_path / "where.log").read_text()


def test_a_stage_that_goes_on_is_asked_to_end_and_its_report_is_read(
    tmp_path: Path, make_stage: MakeStage
) -> None:
    """It ends as a command does that is asked to: with its report, and with 0."""
    stage = make_stage("watch", {"rows": 3}, is_endless=True, ends_well=True)
    outcome = runner(tmp_path).run(replace(stage, ends_after_s=1.0))

    assert outcome.report == {"rows": 3}
    assert outcome.seconds >= 1.0


def test_a_stage_has_settings_of_its_own(tmp_path: Path, make_stage: MakeStage) -> None:
    stage = replace(make_stage("load", {"rows": 3}, shows="OF_THE_STAGE"), environment=OF_THE_STAGE)
    runner(tmp_path).run(stage)

    assert (tmp_path / "load.log").read_text().splitlines()[-1] == "seen"


OF_THE_STAGE = {"OF_THE_STAGE": "seen"}
