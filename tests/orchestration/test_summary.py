import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from audit.model import Check, Verdict, good, unknown
from dbt_stocks.export import Export
from dbt_stocks.serving import Served
from ingestion.load.snowflake_cost import Cost, NoCost
from ingestion.settings import WarehouseSettings
from orchestration.summary import Summary, SummaryOperator, summarise, write
from tests.orchestration.ti import Ti, context

NOW = datetime(2026, 11, 25, 22, tzinfo=UTC)
RUN = ("stock_market_batch_pipeline", "scheduled__1", NOW - timedelta(seconds=90))
REPORTS: dict[str, dict[str, Any]] = {
    "fetch": {"delivered": 12_249, "seconds": 1.5},
    "consume": {"stock-market-batch/0": 12_000, "stock-quotes/1": 249},
    "process": {
        "jobs": {
            "compact": {"read": 12_249, "duplicates": 3, "written": {"silver.bars": 12_246}},
            "daily-metrics": {"written": {"metrics.daily_stock_metrics": 12_154}},
        },
        "seconds": 21.0,
    },
    "load": {"rows": 24_400, "rejected": 0},
    "publish": {
        "build_id": "b1",
        "status": "published",
        "as_of": "2026-11-25T21:00:00",
        "tests_passed": 101,
        "tests_warned": 1,
        "rows": {"gold_kpi": 5, "gold_movers": 7},
        "seconds": {"test": 3.0},
    },
    "reconcile": {
        "verdict": "ok",
        "checks": [
            {"name": "kafka.read", "status": "ok"},
            {"name": "warehouse.read", "status": "ok"},
            {"name": "gold.marts", "status": "ok"},
        ],
        "table": [{"gap": 0}, {"gap": None}],
    },
}
GOLD_ELSEWHERE: dict[str, dict[str, Any]] = {
    "export": asdict(Export("b1", "/export/gold-b1", {"gold_kpi": 5, "gold_movers": 7}, 4_096)),
    "serve": asdict(Served("b1", True, None, {"gold_kpi": 5}, 1.5)),
}


def test_it_has_counts_tests_reconciliation_and_durations() -> None:
    summary = summarise(RUN, {"fetch": "success", "load": "success"}, REPORTS, NOW)

    assert summary.state == "success"
    assert summary.counts == {
        "records sent": 12_249,
        "offsets in bronze": 12_249,
        "records compacted": 12_249,
        "duplicates set aside": 3,
        "rows written to the lake": 24_400,
        "rows loaded": 24_400,
        "lines rejected": 0,
        "build": "b1",
        "build is": "published",
        "as of": "2026-11-25T21:00:00",
        "tests passed": 101,
        "tests warned": 1,
        "rows in gold": 12,
        "reconciliation": "ok",
        "stages reconciled": "kafka, warehouse, gold",
        "checks": 3,
        "gap": 0,
        "tasks done": 2,
    }
    assert summary.seconds == {"run": 90.0, "fetch": 1.5, "process": 21.0}


def test_an_audit_of_some_stages_is_told_with_those_that_it_read() -> None:
    checks = [
        *(good(f"{stage}.read", f"{stage} can be read") for stage in ("bronze", "kafka", "ledger")),
        unknown("lake.read", "lake can be read", "the catalog does not answer"),
        Check("warehouse.read", "warehouse can be read", "skipped", "an account elsewhere"),
        Check("bronze.records", "all are there", "violated", "one is lost"),
        good("gold.marts", "marts are of their sources"),
        Check("bronze.versions", "no version is hidden", "skipped", "this store keeps none"),
        unknown("ledger.read", "ledger can be read", "it went away"),
    ]
    report = Verdict("", "", 0.0, checks, []).document()

    summary = summarise(RUN, {"reconcile": "failed"}, {"reconcile": report}, NOW)

    assert summary.counts["reconciliation"] == "violated"
    assert summary.counts["stages reconciled"] == "kafka, bronze, gold"


def test_gold_that_was_brought_elsewhere_is_told_with_its_build() -> None:
    states = {"export": "success", "serve": "success"}

    summary = summarise(RUN, states, GOLD_ELSEWHERE, NOW)

    assert summary.counts == {
        "build exported": "b1",
        "rows exported": 12,
        "bytes exported": 4_096,
        "build served": "b1",
        "rows served": 5,
        "tasks done": 2,
    }
    assert summary.seconds == {"run": 90.0, "serve": 1.5}


@pytest.mark.parametrize(
    ("cost", "credits"),
    [(Cost("A_LOADER_WH", "X-Small", 300.0, 60), 0.1), (NoCost("no warehouse"), None)],
)
def test_a_load_that_is_billed_is_told_with_its_estimate(
    cost: Cost | NoCost, credits: float | None
) -> None:
    report = {"rows": 7, "rejected": 0, "files": 3, "bytes": 4_096, "cost": cost.report()}

    summary = summarise(RUN, {"load": "success"}, {"load": report}, NOW)

    assert summary.counts == {
        "rows loaded": 7,
        "lines rejected": 0,
        "files loaded": 3,
        "bytes loaded": 4_096,
        "credits of the load, estimate": credits,
        "tasks done": 1,
    }
    embedded = summarise(RUN, {"load": "success"}, {"load": report | {"cost": None}}, NOW)
    assert not any("credits" in name or "bytes" in name for name in embedded.counts)


def test_a_failed_run_is_told_as_one_with_what_there_is() -> None:
    states = {"fetch": "success", "dbt.gold_kpi": "failed", "publish": "upstream_failed"}

    summary = summarise(RUN, states, {"fetch": REPORTS["fetch"]}, NOW)

    assert (summary.state, summary.failed) == ("failed", ["dbt.gold_kpi"])
    assert summary.counts == {"records sent": 12_249, "tasks done": 1}
    page = summary.markdown()
    assert "**failed**" in page
    assert "- failed: `dbt.gold_kpi`" in page
    assert "| records sent   | 12,249 |" in page


@pytest.fixture
def settings(tmp_path: Path) -> WarehouseSettings:
    return WarehouseSettings(path=tmp_path / "w.duckdb")


def test_a_run_is_kept_once_however_often_it_is_told(settings: WarehouseSettings) -> None:
    duckdb.connect(settings.file()).close()
    first = summarise(RUN, {"fetch": "failed"}, {}, NOW)
    second = summarise(RUN, {"fetch": "success"}, REPORTS, NOW + timedelta(minutes=1))

    for summary in (first, second):
        write(summary, settings)

    with duckdb.connect(settings.file(), read_only=True) as db:
        [row] = db.execute("select * from ops.runs").fetchall()
    assert row[:3] == (*RUN[:2], "success")
    assert row[3] == datetime(2026, 11, 25, 21, 58, 30)  # noqa: DTZ001 - as the engine has it
    assert json.loads(row[5])["counts"]["records sent"] == 12_249


def test_without_a_warehouse_nothing_is_made(settings: WarehouseSettings) -> None:
    write(Summary("d", "r", "failed", None, NOW), settings)

    assert not settings.file().exists()


FAILED = Ti({"fetch": "success", "load": "failed", "dbt.gold_kpi": "upstream_failed"}, REPORTS)


def executed(ti: Ti) -> str:
    reports = {"fetch": "fetch", "load": "load"}
    return SummaryOperator(task_id="summary", reports=reports).execute(context(ti))


def test_the_task_of_a_failed_run_tells_of_it_and_keeps_it(
    settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_PATH", str(settings.file()))
    duckdb.connect(settings.file()).close()

    page = executed(FAILED)

    assert "**failed**" in page
    assert "- failed: `load`" in page
    assert "12,249 |" in page
    with duckdb.connect(settings.file(), read_only=True) as db:
        [row] = db.execute("select dag_id, run_id, state from ops.runs").fetchall()
    assert row == ("batch", "run-1", "failed")


def test_a_summary_that_cannot_be_kept_fails_its_task(
    settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_PATH", str(settings.file()))
    settings.file().write_text("damaged")

    with pytest.raises(duckdb.Error):
        executed(FAILED)
