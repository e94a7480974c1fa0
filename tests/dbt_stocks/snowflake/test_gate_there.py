"""The gate's commands on Snowflake, as processes of their own, against the emulator."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dbt_stocks.__main__ import app
from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import MARTS, Project, first_batch, new_project
from tests.dbt_stocks.raw import bar
from tests.dbt_stocks.snowflake.raw_copy import Copy
from tests.emulator import process
from tests.emulator.process import Emulator

_COMMAND_S = 400
VIEW = "gold_daily_prices_adjusted"


@dataclass(frozen=True)
class There:
    """An emulated account with raw rows, and our commands run against it."""

    project: Project
    emulator: Emulator
    copy: Copy

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self._run("-m", "dbt_stocks", *arguments, "--warehouse", "snowflake")

    def build(self, *arguments: str) -> dict[str, Any]:
        report = self.project.state / "report.json"
        found = self.run("build", *arguments, "--report", str(report))
        assert found.returncode == 0, found.stdout + found.stderr
        loaded: dict[str, Any] = json.loads(report.read_text())
        return loaded

    def dbt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        target = str(self.project.state / "by-hand")
        return self._run(
            *("-m", "dbt.cli.main", "--no-use-colors", *arguments),
            *("--project-dir", "dbt_stocks", "--profiles-dir", "dbt_stocks"),
            *("--target-path", target, "--log-path", target),
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.copy.target.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(sql).fetchall()]

    def gold(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row that a reader may see."""
        return {
            mart: sorted(self.rows(f"select * from gold.{mart}"), key=repr)
            for mart in sorted({*MARTS, "published_build"})
        }

    def _run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = self.project.environment | self.emulator.environment
        if "dbt_stocks" in arguments[:2]:
            del environment["DBT_TARGET"]  # the gate's own matter
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True,
            timeout=_COMMAND_S, check=False,
        )  # fmt: skip


@pytest.fixture
def there(tmp_path: Path) -> Iterator[There]:
    project = new_project(tmp_path / "state")
    first_batch(project.raw)
    with process.running(tmp_path / "emulator") as emulator, emulator.connect() as connection:
        copy = Copy(project.raw.path, connection, tmp_path / "raw")
        copy.begin()
        copy.bring(1)
        yield There(project, emulator, copy)


def test_a_part_that_was_built_alone_is_not_published(there: There) -> None:
    failed = there.run("build", "--select", "bronze_bars", "--build-id", "part")

    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "not built; gold unchanged" in failed.stderr.splitlines()[-1]
    [(status, reason)] = there.rows("select status, reason from ops.builds")
    assert (status, "not built" in reason) == ("failed", True)
    assert there.rows("select count(*) from bronze.bronze_bars") == [(8,)]
    refused = there.run("rollback")
    assert refused.returncode == 1
    assert "found none published" in refused.stderr

    there.rows(
        "update ops.lease set holder = 'there/2', build_id = 'b3', "
        "held_until = dateadd('hour', 1, sysdate())"
    )
    for command in (["rollback"], ["build", "--build-id", "late"]):
        kept_out = there.run(*command)
        assert kept_out.returncode == 1
        [line] = kept_out.stderr.splitlines()
        assert line.startswith("error: ") and "found there/2 at it (b3) until 20" in line
    assert there.rows("select count(*) from ops.builds") == [(1,)]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_project_is_built_published_refused_and_taken_back(there: There) -> None:
    """One account, since a build takes half a minute: what each step leaves is the next one's."""
    report = there.build("--build-id", "first")

    assert report["status"] == "published" and report["tests_passed"] > 150
    assert report["rows"].keys() == MARTS - {VIEW}
    first = there.gold()
    assert [row[0] for row in first["published_build"]] == ["first"]
    for mart in MARTS:
        assert there.rows(f"select distinct build_id from gold.{mart}") in ([("first",)], [])
    tests = there.rows("select count(*) from ops.test_results where build_id = 'first'")
    assert tests[0][0] > 150
    assert sum(map(len, first.values())) > 100 and first[VIEW]

    raw = there.project.raw
    raw.batch, raw.offsets = 2, {"stock-market-batch": 100, "stock-quotes": 100}
    raw.bars([bar("IBM", date(2013, 2, 26), ("10", "12", "9", "11"))])
    there.copy.bring(2)
    there.rows("update common.daily_stock_metrics_raw set daily_change = 77 where symbol = 'IBM'")
    failed = there.run("build", "--build-id", "bad")

    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "daily_stock_metrics_change" in failed.stderr and "1 failing rows" in failed.stderr
    assert there.gold() == first
    assert there.rows("select status from ops.builds where build_id = 'bad'") == [("failed",)]
    for mart in MARTS - {VIEW}:
        candidate = there.rows(f"select * from gold_candidate.{mart}")
        assert sorted(candidate, key=repr) == first[mart], "the candidate is what is published"

    there.rows("update common.daily_stock_metrics_raw set daily_change = 10 where symbol = 'IBM'")
    second = there.build("--build-id", "second", "--only-new")
    assert second["status"] == "published" and second["models"] < report["models"]
    assert there.rows("select distinct build_id from gold.daily_stock_metrics") == [("second",)]
    added = there.rows(
        "select count(*) from gold.daily_stock_metrics where symbol = 'IBM' and date = '2013-02-26'"
    )
    assert added == [(1,)]

    back = there.run("rollback", "--why", "it was better")
    assert back.returncode == 0, back.stderr
    assert "build first is shown, second is withdrawn" in back.stdout
    shown = there.gold()
    assert {mart: rows for mart, rows in shown.items() if mart != "published_build"} == {
        mart: rows for mart, rows in first.items() if mart != "published_build"
    }

    fresh = there.dbt("source", "freshness")
    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    sources = json.loads((there.project.state / "by-hand" / "sources.json").read_text())
    assert {one["status"] for one in sources["results"]} <= {"pass", "warn"}
    assert len(sources["results"]) > 5


def test_models_are_transient_and_a_layer_s_warehouse_is_one_that_is_asked_for(
    tmp_path: Path,
) -> None:
    parsed = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "parse",
         "--project-dir", "dbt_stocks", "--profiles-dir", "dbt_stocks",
         "--target-path", str(tmp_path), "--log-path", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"DBT_TARGET": "snowflake", "SNOWFLAKE_GOLD_WAREHOUSE": "BIG_WH"},
        capture_output=True, text=True, timeout=_COMMAND_S, check=False,
    )  # fmt: skip
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    nodes = json.loads((tmp_path / "manifest.json").read_text())["nodes"].values()
    models = {
        node["name"]: node["config"] | {"layer": node["schema"].lower()}
        for node in nodes
        if node["resource_type"] == "model"
    }

    assert {config["transient"] for config in models.values()} == {True}
    assert {name for name, config in models.items() if config.get("cluster_by")} == {
        "gold_candlestick", "gold_intraday_window_metrics", "silver_minute_bars",
    }  # fmt: skip
    # A key would start Automatic Clustering, which no monitor stops.
    for name, config in models.items():
        hooks = [hook["sql"] for hook in config["post-hook"]]
        assert bool(config.get("cluster_by")) == ("{{ keep_order_alone() }}" in hooks), name
    asked = {
        (config["layer"], config.get("snowflake_warehouse"))
        for config in models.values()
        if config["layer"] in ("silver", "verdicts", "gold_candidate", "quarantine")
    }
    assert asked == {
        ("gold_candidate", "BIG_WH"), ("silver", None), ("verdicts", None), ("quarantine", None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["as-of", "--build", "b"], "as-of copies the raw rows of a past moment into a DuckDB"),
        (["export"], "export writes the published DuckDB file's marts"),
    ],
)
def test_what_is_of_duckdb_alone_says_so(
    monkeypatch: pytest.MonkeyPatch, command: list[str], why: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_ENGINE", "snowflake")

    refused = CliRunner().invoke(app, command)

    assert refused.exit_code == 1
    assert why in refused.stderr and "found snowflake" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["build", "publish", "rollback"])
def test_without_a_key_a_command_ends_in_one_line(command: str) -> None:
    refused = CliRunner().invoke(app, [command, "--warehouse", "snowflake"])

    assert refused.exit_code == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("error: SNOWFLAKE_") and "is not set" in line
