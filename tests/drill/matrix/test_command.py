import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from drill.__main__ import app
from drill.matrix.broken import BREAKABLE
from drill.matrix.command import Played, conclude
from drill.matrix.matrix import ROWS, chosen
from drill.matrix.row import Outcome
from drill.matrix.stage import Options
from infra.local import processes
from ingestion.settings import ROOT


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


def played(*outcomes: Outcome, deep: str = "2 auditors: ok") -> Played:
    return Played(Path(), Options(), 3, Console(quiet=True), list(outcomes), [deep])


def green(row: int) -> Outcome:
    return Outcome(row, "a fault", "green")


def red(row: int, kind: str) -> Outcome:
    return Outcome(row, "a fault", "red", kind)


def test_the_rows_can_be_listed_without_starting_anything() -> None:
    result = run("--list")

    assert result.exit_code == 0
    assert "SIGKILL after PUT, before commit" in result.output
    assert "red with adopt-unchecked, end-in-key, overwrite" in result.output


@pytest.mark.parametrize("arguments", [("--row", "99"), ("--break", "nothing"), ("--brokers", "2")])
def test_what_does_not_exist_is_refused(arguments: tuple[str, str]) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert "expected" in result.output


def test_every_rule_that_can_be_broken_has_rows_that_must_notice() -> None:
    for rule in BREAKABLE:
        assert chosen([], rule), f"no row is named for {rule}"
    assert {rule for row in ROWS.values() for rule in row.catches} <= set(BREAKABLE)


def test_without_numbers_every_row_is_played_and_with_them_those_alone() -> None:
    assert [row.number for row in chosen([], "")] == sorted(ROWS)
    assert [row.number for row in chosen([6, 5, 5], "")] == [5, 6]
    assert [row.number for row in chosen([4], "overwrite")] == [4]


def test_one_red_row_or_a_red_deep_audit_fails_the_run() -> None:
    console = Console(quiet=True)

    assert conclude(played(green(1), green(2)), "", console)
    assert not conclude(played(green(1), red(2, "stuck")), "", console)
    assert not conclude(played(green(1), deep="red: violated"), "", console)


def test_with_a_broken_rule_every_row_must_be_red_because_of_landing() -> None:
    console = Console(quiet=True)

    assert conclude(played(red(5, "violated"), red(6, "stuck")), "overwrite", console)
    assert not conclude(played(red(5, "violated"), green(6)), "overwrite", console)
    assert not conclude(played(red(5, "unproven")), "overwrite", console)
    assert not conclude(played(), "overwrite", console)


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_rows_are_green_on_one_broker_and_leave_no_process(tools: None, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["run", "--row", "2", "--row", "6", "--brokers", "1", "--report", str(report)]

    done = subprocess.run(
        [sys.executable, "-m", "drill", *words],
        cwd=ROOT,
        env=os.environ | {"TAPEHOUSE_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert [(row["row"], row["verdict"]) for row in found["rows"]] == [(2, "green"), (6, "green")]
    assert all(row["proofs"] and row["recovery_s"] is not None for row in found["rows"])
    assert "2 auditors: ok" in found["deep_audits"][0]
    home = tmp_path / "state" / "drill" / "cluster-1" / "var"
    assert home.is_dir()
    assert processes.of_stack(home.resolve()) == []
