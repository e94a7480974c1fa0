"""A copy of the dbt project with instruments of its own, and the product's commands on it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.dbt import data
from benchmarks.land import measure
from ingestion.settings import ROOT

# A line of dbt's log about a node that has ended.
_ENDED: Final = re.compile(
    r"\d+ of \d+ (?:OK|PASS|WARN|FAIL|ERROR)[^.]*? (?:model )?(?P<node>[\w.]+) \.* "
    r"\[.* in (?P<seconds>[\d.]+)s\]"
)
_COLOURS: Final = re.compile(r"\x1b\[\d*m")


@dataclass(frozen=True)
class Built:
    """A command's wall time (its start to its end) and memory, and what it and dbt say of it."""

    seconds: float
    cpu_s: float
    peak_rss: int
    report: dict[str, Any]
    nodes: dict[str, float]


@dataclass(frozen=True)
class Project:
    """A folder with the project's code, its warehouse and its gold."""

    home: Path

    @property
    def warehouse(self) -> Path:
        """The warehouse's file."""
        return self.home / "state" / "warehouse" / "stocks_mds.duckdb"

    @property
    def dbt(self) -> Path:
        """The copied dbt project."""
        return self.home / "dbt_stocks"

    def build(self, *arguments: str) -> Built:
        """Run ``python -m dbt_stocks build``; all tests run, and gold is published.

        Raises:
            TapehouseError: it failed.
        """
        report = self.home / "report.json"
        words = ["-m", "dbt_stocks", "build", "--report", str(report), *arguments]
        log = self.home / "state" / "dbt" / "logs" / "dbt.log"
        seconds, samples = self._run(words, log)
        return Built(
            seconds,
            max(sample.cpu_s for sample in samples),
            max(sample.rss for sample in samples),
            json.loads(report.read_text()),
            _nodes(log),
        )

    def _run(self, words: list[str], dbt_log: Path) -> tuple[float, list[measure.Sample]]:
        dbt_log.unlink(missing_ok=True)
        said = self.home / "said.log"
        environment = os.environ | {"TAPEHOUSE_ENV_FILE": str(self.home / "env")}
        with said.open("wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, *words], cwd=self.home, env=environment,
                stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            samples = measure.watch([process])
            seconds = time.monotonic() - started
        measure.require_success(process, said)
        return seconds, samples


def copy(home: Path, symbols: Iterable[str]) -> Project:
    """Copy the project to ``home``; its instruments are ``symbols``."""
    ignored = shutil.ignore_patterns("target", "logs", "__pycache__")
    shutil.copytree(ROOT / "dbt_stocks", home / "dbt_stocks", ignore=ignored)
    (home / "ingestion").symlink_to(ROOT / "ingestion")
    data.instruments(symbols, home / "dbt_stocks" / "seeds" / "instruments.csv")
    (home / "env").write_text(f"TAPEHOUSE_STATE_DIR={home / 'state'}\n")
    return Project(home)


def _nodes(log: Path) -> dict[str, float]:
    """Return the seconds of each node by name, out of dbt's log."""
    found: dict[str, float] = {}
    for line in log.read_text().splitlines():
        if match := _ENDED.search(_COLOURS.sub("", line)):
            found[match["node"].rpartition(".")[2]] = float(match["seconds"])
    return found
