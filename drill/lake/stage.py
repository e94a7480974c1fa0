"""A stack, two lakes over one bronze, and the comparison of the one with the other."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from drill.lake.content import COMPACTED, METRICS, Lake, differences
from drill.lake.jobs import METRIC_JOBS, Jobs
from drill.lake.records import rounds, send
from drill.stack import own_stack
from infra.local.layout import Layout
from ingestion.errors import StackError
from ingestion.settings import ROOT

_SURE: Final = "reference"


class WrongError(StackError):
    """The lake is not what an undisturbed one is."""


class Stage:
    """Bronze that grows round by round; ``jobs`` may be disturbed, ``reference`` never is."""

    def __init__(self, layout: Layout) -> None:
        self.state = layout.state
        (self.state / "lake").mkdir(exist_ok=True)
        self._environment = layout.child_environment()
        self._started: list[Jobs] = []
        self._rounds = rounds()
        self._reference = self.start(_SURE, "--warehouse", _SURE)
        self.jobs = self.start("steady")
        self._lakes = [
            Lake(self.state / "lake" / "catalog.db"),
            Lake(self.state / "jobs" / _SURE / "catalog.db"),
        ]

    def start(self, name: str, *words: str) -> Jobs:
        """Start a process that runs jobs; ended with the stage."""
        self._started.append(Jobs(name, self.state, self._environment, *words))
        return self._started[-1]

    def end(self) -> None:
        """End every process that was started here."""
        for jobs in self._started:
            jobs.end()

    def next_round(self) -> None:
        """Send the next round's records and land them."""
        send(next(self._rounds))
        self._command("ingestion", "land", "--once")

    def compare(self, *, with_metrics: bool = False) -> str:
        """Bring the undisturbed lake up to bronze and require the same rows and one position.

        Raises:
            WrongError: they differ.
        """
        orders = ("compact", *METRIC_JOBS) if with_metrics else ("compact",)
        for job in orders:
            self._reference.run(job)
        names = (*COMPACTED, *METRICS) if with_metrics else COMPACTED
        mine, sure = (lake.rows(names) for lake in self._lakes)
        if said := differences(mine, sure):
            raise WrongError("; ".join(said))
        if empty := sorted(name for name, rows in sure.items() if name in METRICS and not rows):
            raise WrongError(f"expected rows in every metric, found none in {', '.join(empty)}")
        positions, expected = (lake.positions() for lake in self._lakes)
        if positions != expected:
            raise WrongError(f"expected positions {expected}, found {positions}")
        return f"{sum(rows.total() for rows in mine.values())} rows as in the undisturbed lake"

    def audit(self) -> str:
        """Require that the auditor finds bronze and the lake in order.

        Raises:
            WrongError: it does not.
        """
        report = self.state / "run" / "verdict.json"
        words = ["--stage", "bronze", "--stage", "lake", "--report", str(report)]
        done = self._run("audit", *words)
        if done.returncode != 0:
            raise WrongError(f"the auditor: {(done.stdout + done.stderr)[-600:]}")
        verdict: dict[str, Any] = json.loads(report.read_text())
        lake = [check for check in verdict["checks"] if check["name"] == "lake.records"]
        if not lake:
            raise WrongError("the auditor has not compared bronze with the lake")
        return f"auditor ok, {len(verdict['checks'])} checks, {len(lake)} of lake.records (I7)"

    def _command(self, *words: str) -> None:
        done = self._run(*words)
        if done.returncode != 0:
            raise StackError(
                f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-600:]}"
            )

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def opened(folder: Path) -> Iterator[Stage]:
    """A stage on a Kafka and a store of its own, which end with the block."""
    with own_stack(folder) as layout:
        stage = Stage(layout)
        try:
            yield stage
        finally:
            stage.end()
