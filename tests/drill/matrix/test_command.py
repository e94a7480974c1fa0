import json
import os
import subprocess
import sys
from contextlib import nullcontext
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from drill.__main__ import app
from drill.matrix import command
from drill.matrix.broken import BREAKABLE
from drill.matrix.command import Played, conclude
from drill.matrix.matrix import ROWS, chosen
from drill.matrix.report import Report, judged
from drill.matrix.row import Outcome, Row
from drill.matrix.stage import Options
from infra.local import processes
from ingestion.settings import ROOT


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


def played(*outcomes: Outcome, deep: str = "2 auditors: ok") -> Played:
    report, console = Report([], Options()), Console(quiet=True)
    return Played(Path(), Options(), 3, console, report, list(outcomes), [deep])


def green(row: int) -> Outcome:
    return Outcome(row, "a fault", "green")


def red(row: int, kind: str, *checks: str) -> Outcome:
    return Outcome(row, "a fault", "red", kind, checks=list(checks))


def skipped(row: int) -> Outcome:
    return Outcome(row, "a fault", "skipped", "not here")


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
    assert conclude(played(green(1), skipped(21)), "", console)


def test_with_a_broken_rule_every_row_must_be_red_by_a_check_named_for_the_rule() -> None:
    console = Console(quiet=True)
    caught = red(5, "violated", "bronze.chain", "bronze.versions")

    assert conclude(played(caught, red(6, "violated", "I3")), "overwrite", console)
    assert conclude(played(red(18, "stuck")), "refused-is-landed", console)
    assert not conclude(played(caught, green(6)), "overwrite", console)
    assert not conclude(played(), "overwrite", console)


@pytest.mark.parametrize(
    "found",
    [
        *(red(5, kind) for kind in ("unproven", "unjudged", "unsettled", "unseen", "stuck")),
        red(5, "violated", "kafka.committed"),
        red(5, "unjudged", "bronze.versions"),
    ],
    ids=lambda one: f"{one.kind} {one.checks}",
)
def test_a_row_that_is_red_for_another_reason_has_not_caught_the_rule(found: Outcome) -> None:
    assert not conclude(played(found), "overwrite", Console(quiet=True))


def test_the_report_is_green_only_where_all_was_played_and_compared() -> None:
    assert judged([green(1), green(2)], ["2 auditors: ok"], "") == "green"
    assert judged([green(1)], ["red: violated"], "") == "red"
    assert judged([green(1), red(2, "stuck")], [], "") == "red"
    assert judged([green(1), skipped(2)], ["2 auditors: ok"], "") == "incomplete"
    assert judged([], [], "") == "incomplete"
    assert judged([red(5, "violated", "I3")], [], "overwrite") == "caught"
    assert judged([red(5, "unjudged")], [], "overwrite") == "not caught"


def test_until_a_run_is_over_its_report_says_that_it_is_incomplete(tmp_path: Path) -> None:
    paths = [tmp_path / "one.json", tmp_path / "other.json"]
    report = Report(paths, Options())
    for path in paths:
        path.write_text('{"verdict": "green"}')

    report.forget()
    assert not any(path.exists() for path in paths)

    report.write([green(1)], [])
    found = [json.loads(path.read_text()) for path in paths]
    assert [one["verdict"] for one in found] == ["incomplete", "incomplete"]
    assert [row["row"] for row in found[0]["rows"]] == [1]


def test_rows_before_a_red_one_are_told_to_be_uncompared(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {1: green(1), 2: skipped(2), 4: red(4, "stuck"), 5: green(5)}
    monkeypatch.setattr(command, "Run", lambda *_: Scripted(ends))
    monkeypatch.setattr(command, "_cluster", lambda *_: nullcontext())
    run = played(deep="unused")
    run.deep.clear()

    left = run.on_a_new_cluster([ROWS[number] for number in (1, 2, 4, 5)])

    assert [row.number for row in left] == [5]
    assert ends[1].remarks == ["not compared byte for byte: row 4 was red on the same cluster"]
    assert not ends[2].remarks
    assert not run.deep
    assert not run.on_a_new_cluster(left)
    assert (ends[5].remarks, run.deep) == ([], ["2 auditors: ok"])


def test_what_is_played_and_how_to_look_in_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "Run", lambda *_: Scripted({1: green(1), 2: green(2)}))
    monkeypatch.setattr(command, "_cluster", lambda *_: nullcontext())
    run, out = played(), StringIO()
    run.outcomes.clear()
    run.console = Console(file=out, width=40)

    for home, number in ((ROOT / "var", 1), (tmp_path / "a b", 2)):
        monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(home / "env"))
        run.on_a_new_cluster([ROWS[number]])

    looks = [line for line in out.getvalue().splitlines() if "look in" in line]
    assert looks[0].endswith(
        ": TAPEHOUSE_ENV_FILE=var/env .venv/bin/python -m ingestion status --watch 2"
    )
    assert f" TAPEHOUSE_ENV_FILE='{tmp_path}/a b/env' " in looks[1]
    assert f"row 1: {ROWS[1].fault} ... (1 of 1)\n" in out.getvalue()
    assert f"row 2: {ROWS[2].fault} ... (2 of 2)\n" in out.getvalue()


class Scripted:
    """A run whose rows end as is written down."""

    def __init__(self, ends: dict[int, Outcome]) -> None:
        self._ends = ends

    def play(self, row: Row) -> Outcome:
        return self._ends[row.number]

    def deep(self) -> str:
        return "2 auditors: ok"


@pytest.mark.integration
@pytest.mark.long
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
