"""What a model's task makes of dbt's results: its report, and its failure."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowFailException

from orchestration.nodes import conclude, report
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
