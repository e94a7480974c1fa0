"""What a model's task makes of dbt's results: its report, and its failure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowFailException
from cosmos.exceptions import CosmosDbtRunError

from orchestration.nodes import NodeRetries, conclude, report
from tests.orchestration.ti import Ti, context

MODEL = {
    "unique_id": "model.dbt_stocks.gold_kpi",
    "status": "success",
    "execution_time": 0.25,
    "message": "OK",
    "failures": None,
    "relation_name": '"stocks_mds"."gold_candidate"."gold_kpi"',
}
TEST = {
    "unique_id": "test.dbt_stocks.unique_gold_kpi_symbol.0a1b2c",
    "status": "pass",
    "execution_time": 0.05,
    "message": None,
    "failures": 0,
    "relation_name": None,
}
FAILED = {
    **TEST,
    "status": "fail",
    "failures": 3,
    "message": "Got 3 results,\n  configured to fail",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "stocks_mds.duckdb"
    with duckdb.connect(path) as db:
        db.execute("create schema gold_candidate; create schema silver")
        db.execute("create table gold_candidate.gold_kpi as from range(7)")
        db.execute("create view silver.silver_quotes as from range(9)")
    return path


def test_a_model_tells_its_rows_and_its_tests(warehouse: Path) -> None:
    found = report([MODEL, TEST, {**TEST, "status": "warn"}], warehouse)

    assert found == {
        "rows": {"gold_candidate.gold_kpi": 7},
        "tests_passed": 1,
        "tests_warned": 1,
        "seconds": 0.35,
        "failures": [],
    }


def test_a_view_s_rows_are_not_computed_for_that(warehouse: Path) -> None:
    view = {**MODEL, "relation_name": '"stocks_mds"."silver"."silver_quotes"'}

    assert report([view], warehouse)["rows"] == {}


def test_a_failing_test_is_told_with_its_rows(warehouse: Path) -> None:
    found = report([MODEL, FAILED], warehouse)

    expected = "fail unique_gold_kpi_symbol (3 rows): Got 3 results, configured to fail"
    assert found["failures"] == [expected]


def test_a_test_that_was_not_run_because_its_model_failed_is_no_cause(warehouse: Path) -> None:
    broken = {**MODEL, "status": "error", "message": "Binder Error", "relation_name": None}

    found = report([broken, {**TEST, "status": "skipped"}], warehouse)

    assert found["failures"] == ["error gold_kpi: Binder Error"]


def test_without_a_warehouse_there_are_no_rows(tmp_path: Path) -> None:
    assert report([MODEL], tmp_path / "none.duckdb")["rows"] == {}


def concluded(tmp_path: Path, results: list[dict[str, Any]], ti: Ti) -> None:
    """What Cosmos calls after dbt, with these results in the folder that dbt ran in."""
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text(json.dumps({"results": results}))
    conclude(str(tmp_path), context=context(ti))


@pytest.fixture
def configured(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PATH", str(warehouse))


@pytest.mark.usefixtures("configured")
def test_a_node_that_warns_succeeds_and_says_so(tmp_path: Path) -> None:
    ti = Ti()

    concluded(tmp_path, [MODEL, TEST, {**TEST, "status": "warn", "failures": 2}], ti)

    assert (ti.pushed["report"]["tests_warned"], ti.pushed["report"]["failures"]) == (1, [])
    assert ti.pushed["report"]["rows"] == {"gold_candidate.gold_kpi": 7}
    assert ti.pushed["seconds"] == 0.35


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("results", "told"),
    [
        ([MODEL, FAILED], "fail unique_gold_kpi_symbol (3 rows): Got 3 results, configured"),
        ([MODEL, {**TEST, "status": "error", "message": "no such column"}], "no such column"),
        ([{**MODEL, "status": "error", "message": "Binder Error"}], "error gold_kpi: Binder"),
        ([{**MODEL, "status": "runtime error", "message": "killed"}], "gold_kpi: killed"),
    ],
)
def test_a_node_that_fails_is_never_tried_again_and_reports(
    tmp_path: Path, results: list[dict[str, Any]], told: str
) -> None:
    ti = Ti()

    with pytest.raises(AirflowFailException) as found:
        concluded(tmp_path, results, ti)

    assert told in str(found.value)
    assert [line for line in ti.pushed["report"]["failures"] if told in line]


PROJECT = """
name: broken
version: 1.0.0
profile: broken
flags: {send_anonymous_usage_stats: false}
"""
PROFILE = "broken: {target: dev, outputs: {dev: {type: duckdb, path: ':memory:'}}}"
# Airflow before Cosmos, as in a DAG file: its plugins import Cosmos themselves.
INVOKE = """
from airflow.sdk import DAG
from cosmos.dbt import runner
from cosmos.exceptions import CosmosDbtRunError
result = runner.run_command(["dbt", "build", "--no-use-colors", "--profiles-dir", "."], {}, ".")
try:
    runner.handle_exception_if_needed(result)
except CosmosDbtRunError as error:
    print("told:", str(error).replace(chr(10), " "))
"""


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models/one.sql", "select * from {{ ref('nowhere') }}"),
        ("models/one.yml", "models: 3"),
    ],
)
def test_what_dbt_cannot_parse_is_never_tried_again(tmp_path: Path, file: str, text: str) -> None:
    """The error is what Cosmos makes of dbt's own; dbt sets up the process that imports it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "dbt_project.yml").write_text(PROJECT)
    (tmp_path / "profiles.yml").write_text(PROFILE)
    (tmp_path / file).write_text(text)
    command = [sys.executable, "-c", INVOKE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("told:")]
    assert told, done.stdout + done.stderr

    assert decided(CosmosDbtRunError(told[0])) == RetryAction.FAIL


@pytest.mark.parametrize(
    "error",
    [
        CosmosDbtRunError("Runtime Error w.lock: another process holds the warehouse lock"),
        OSError("Compilation Error: of somebody else"),
    ],
)
def test_what_may_pass_is_tried_again_as_the_task_says(error: Exception) -> None:
    assert decided(error) == RetryAction.DEFAULT


def decided(error: Exception) -> RetryAction:
    return NodeRetries().evaluate(error, try_number=1, max_tries=3).action
