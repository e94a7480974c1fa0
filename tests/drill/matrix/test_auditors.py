"""Two auditors of one thing, with the auditor's own command replaced by a script."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drill.matrix import auditors
from drill.matrix.auditors import Auditor, Auditors
from drill.matrix.errors import UnjudgedError, ViolatedError
from drill.matrix.process import Process

GOOD = {"name": "bronze.chain", "topic": "stock-quotes", "partition": 0, "status": "ok"}
LOST = {"name": "ledger.acked", "topic": None, "partition": None, "status": "violated"}
WRITE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
HANG = "import time; time.sleep(600)"
SILENT = "raise SystemExit(7)"


def verdict(name: str, *checks: dict[str, Any]) -> str:
    return json.dumps({"verdict": name, "checks": [{"detail": "", **one} for one in checks]})


def acked(count: int) -> dict[str, Any]:
    return {**GOOD, "name": "ledger.acked", "expected": count}


class Scripted:
    """A cluster in which each auditor runs the next script, with its report and what it says."""

    def __init__(self, folder: Path, *said: str, script: str = WRITE) -> None:
        self.layout = SimpleNamespace(state=folder)
        self.started: list[Process] = []
        self._said = list(said)
        self._script = script

    def process(
        self, name: str, command: Sequence[str], _: Mapping[str, str] | None = None
    ) -> Process:
        report, said = command[command.index("--report") + 1], self._said.pop(0)
        line = [sys.executable, "-c", self._script, report, said]
        self.started.append(Process(name, line, self.layout.state / "log", os.environ))
        return self.started[-1]


def require_ok(cluster: Any, folder: Path) -> str:
    return Auditors(cluster, folder / "ledger").require_ok(least_acks=5)


def test_two_auditors_that_agree_on_ok_are_believed(tmp_path: Path) -> None:
    said = verdict("ok", GOOD, acked(3), acked(2))
    cluster = Scripted(tmp_path, said, said)
    assert require_ok(cluster, tmp_path) == "2 auditors: ok, 3 checks, 5 acks"


def test_auditors_that_compared_fewer_acks_than_the_producer_has_are_not_believed(
    tmp_path: Path,
) -> None:
    for said in (verdict("ok", GOOD), verdict("ok", GOOD, acked(3), acked(1))):
        with pytest.raises(UnjudgedError, match="expected 5 acks compared at least, found "):
            require_ok(Scripted(tmp_path, said, said), tmp_path)


def test_what_both_find_violated_is_told(tmp_path: Path) -> None:
    said = verdict("violated", GOOD, LOST)
    with pytest.raises(ViolatedError, match=r"^auditor: violated; ledger\.acked") as caught:
        require_ok(Scripted(tmp_path, said, said), tmp_path)
    assert caught.value.checks == {"ledger.acked"}


@pytest.mark.parametrize("name", ["unknown", "behind"])
def test_what_could_not_be_judged_is_no_violation(tmp_path: Path, name: str) -> None:
    said = verdict(name, GOOD, {**GOOD, "status": name})
    with pytest.raises(UnjudgedError, match=f"auditor: {name}; bronze"):
        require_ok(Scripted(tmp_path, said, said), tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        verdict("violated", GOOD, LOST),
        verdict("ok", {**GOOD, "name": "bronze.bytes"}),
        verdict("ok", GOOD, {**LOST, "status": "unknown"}),
    ],
    ids=["another verdict", "another check", "another failure"],
)
def test_auditors_that_differ_are_red(tmp_path: Path, other: str) -> None:
    for said in ((verdict("ok", GOOD), other), (other, verdict("ok", GOOD))):
        with pytest.raises(UnjudgedError, match="the auditors differ: "):
            require_ok(Scripted(tmp_path, *said), tmp_path)


def test_an_auditor_that_ran_out_of_time_is_killed(tmp_path: Path) -> None:
    cluster: Any = Scripted(tmp_path, "", script=HANG)
    auditor = Auditor(cluster, "auditor", tmp_path / "report.json", auditors.stages("bronze"))
    with pytest.raises(UnjudgedError, match="auditor did not end within 0 s"):
        auditor.verdict(0)
    assert cluster.started[0].was_killed()


def test_an_older_verdict_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(verdict("ok", GOOD))
    cluster: Any = Scripted(tmp_path, "", script=SILENT)
    with pytest.raises(UnjudgedError, match="auditor ended with 7 and no verdict"):
        Auditor(cluster, "auditor", report, []).verdict(20)
