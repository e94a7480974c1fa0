"""``python -m pipeline demo`` as a process: its exit code, its words, and one run at a time."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from ingestion.settings import ROOT
from tests.pipeline.conftest import MakeStage

# The real command, except that its first stage does not end by itself.
_SLOW = """
import sys
import pipeline.demo
from pipeline.stages import Stage
pipeline.demo.STACK_UP = Stage("stack up", tuple(sys.argv[1:]), str, reports=False)
from pipeline.__main__ import app
app(["demo"])
"""
DEADLINE_S = 60.0


@dataclass
class Running:
    """A demo in its first stage, and that stage's process."""

    process: "subprocess.Popen[str]"
    stage: psutil.Process


@pytest.fixture
def slow(state: Path, make_stage: MakeStage) -> Iterator[Running]:
    """A demo under way in the state folder."""
    with under_way(state, make_stage) as running:
        yield running


@contextmanager
def under_way(state: Path, make_stage: MakeStage) -> Iterator[Running]:
    arguments = make_stage("stack up", is_endless=True).arguments
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stage: list[psutil.Process] = []
    with process:
        try:
            wait_until_written(state / "demo" / "stack-up.log", process)
            stage = psutil.Process(process.pid).children()
            yield Running(process, stage[0])
        finally:
            process.kill()
            for one in stage:
                with suppress(psutil.NoSuchProcess):
                    one.kill()


def wait_until_written(log: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not (log.is_file() and log.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_stage_that_fails_is_the_commands_failure_and_is_reported(state: Path) -> None:
    """Without credentials there is no stack to start: the first stage is the one that fails."""
    done = command("pipeline", "demo")

    report = json.loads((state / "demo" / "report.json").read_text())
    assert done.returncode == 1
    assert done.stderr.startswith("error: stage 'stack up' failed: `python -m infra.local up`")
    assert "Traceback" not in done.stderr
    assert report["ok"] is False
    assert report["error"] in done.stderr


@pytest.mark.parametrize("words", [("pipeline", "demo"), ("benchmarks.pipeline",)])
def test_a_second_run_is_refused_at_once_with_one_line_that_names_the_first(
    slow: Running, state: Path, words: tuple[str, ...]
) -> None:
    before = (state / "demo" / "stack-up.log").stat()

    done = command(*words)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(state / "run" / "pipeline.lock") in done.stderr
    assert f"(process {slow.process.pid})" in done.stderr
    assert (state / "demo" / "stack-up.log").stat() == before, "the first run's files are its own"
    assert not (state / "demo" / "report.json").exists()
    assert slow.process.poll() is None


def test_the_lock_of_a_killed_run_keeps_nobody_out(slow: Running, state: Path) -> None:
    slow.process.kill()
    slow.process.wait(DEADLINE_S)
    assert (state / "run" / "pipeline.lock").read_text() == f"{slow.process.pid}\n"

    done = command("pipeline", "demo")

    assert "stage 'stack up' failed" in done.stderr, "refused nowhere: it got to its first stage"


def test_runs_in_other_state_folders_are_not_in_each_others_way(
    slow: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_text(f"TAPEHOUSE_STATE_DIR={tmp_path / 'elsewhere'}\n")
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(other))

    assert "stage 'stack up' failed" in command("pipeline", "demo").stderr


def test_a_run_that_is_asked_to_end_takes_its_stage_with_it(slow: Running) -> None:
    slow.process.terminate()

    assert slow.process.wait(DEADLINE_S) == 143
    assert not slow.stage.is_running()
