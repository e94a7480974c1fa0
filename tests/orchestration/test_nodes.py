from pathlib import Path

import duckdb
import pytest

from orchestration.nodes import report

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
