"""Runs a stage: a project command in its own process, timed, its counts read from its report."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from ingestion.errors import TapehouseError
from ingestion.settings import ROOT

POLL_S = 0.1
TAIL_LINES = 15


class StageError(TapehouseError):
    """A stage's command failed; the text has its last lines and names its log."""


@dataclass(frozen=True)
class Stage:
    """A command and how its report is said in one line.

    ``arguments`` follow ``python -m``; ``says`` turns the command's report into words. One that
    goes on until it is stopped is asked to end, by SIGTERM, after ``ends_after_s``.
    """

    name: str
    arguments: tuple[str, ...]
    says: Callable[[Mapping[str, Any]], str]
    reports: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    ends_after_s: float | None = None


@dataclass
class Outcome:
    """What a stage did: seconds on the wall and the counts it reported."""

    name: str
    seconds: float
    says: str
    report: dict[str, Any] = field(default_factory=dict)


class Runner:
    """Runs stages one after the other and keeps each one's output and report in ``folder``.

    ``tick`` is called about ten times a second while a stage runs, with the stage's name and its
    seconds so far: it draws progress and samples memory.
    """

    def __init__(
        self,
        folder: Path,
        tick: Callable[[str, float], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.tick = tick
        self.environment = {**os.environ, **(environment or {})}
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, stage: Stage) -> Outcome:
        """Run a stage to its end.

        Raises:
            StageError: the command's exit code is not 0.
        """
        slug = stage.name.replace(" ", "-")
        log, report = self.folder / f"{slug}.log", self.folder / f"{slug}.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", *stage.arguments]
        if stage.reports:
            command += ["--report", str(report)]
        started = time.monotonic()
        environment = {**self.environment, **stage.environment}
        with log.open("w") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
            )
            self._wait(process, stage, started)
        seconds = time.monotonic() - started
        found = json.loads(report.read_text()) if report.is_file() else {}
        if process.returncode != 0:
            raise StageError(_failure(stage, process.returncode, log))
        if stage.reports and not found:
            raise StageError(f"stage {stage.name!r} ended with 0 and left no report at {report}")
        return Outcome(stage.name, seconds, stage.says(found), found)

    def _wait(self, process: "subprocess.Popen[bytes]", stage: Stage, started: float) -> None:
        ends_at = started + (inf if stage.ends_after_s is None else stage.ends_after_s)
        try:
            while process.poll() is None:
                self.tick(stage.name, time.monotonic() - started)
                if time.monotonic() >= ends_at:
                    process.terminate()  # once: a second one would end it unasked
                    ends_at = inf
                time.sleep(POLL_S)
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _failure(stage: Stage, code: int, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    tail = "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
    command = " ".join(("python -m", *stage.arguments))
    return f"stage {stage.name!r} failed: `{command}` ended with {code}; its log: {log}\n{tail}"
