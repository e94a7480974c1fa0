"""Sources that are files of this machine, on files of the shape that their stages write."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.core import Metric

from audit.__main__ import EXIT
from infra.prometheus.exporter.files import Budgets, Disk, Jobs, Spools, Verdict, VerdictError
from infra.prometheus.exporter.market import SessionClock
from infra.prometheus.exporter.newest import Freshness
from infra.prometheus.exporter.source import BusyError, Source
from infra.prometheus.exporter.warehouse import Books
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import LoadError
from ingestion.lock import project_lock
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.spool import Spool
from ingestion.settings import ROOT, LimitsSettings, WarehouseSettings
from tests.infra.prometheus.test_market import At

NOW = datetime(2026, 11, 25, 15, tzinfo=UTC)
FRESHNESS = Freshness(At(NOW), SessionClock(calendar.get("XNYS")))


def told(source: Source) -> dict[tuple[str, ...], float]:
    """Samples by name, without the prefix, and label values in the order of their names."""
    metrics: list[Metric] = list(source.read())
    samples = [sample for metric in metrics for sample in metric.samples]
    return {
        (
            one.name.removeprefix("tapehouse_"),
            *(one.labels[k] for k in sorted(one.labels)),
        ): one.value
        for one in samples
    }


def verdict(**changes: Any) -> dict[str, Any]:
    row = {"topic": "t", "generation": "a", "partition": 0, "kafka": 5, "bronze": 4, "gap": 1}
    return {
        "verdict": "violated",
        "finished_at": "2026-11-25T15:00:00+00:00",
        "seconds": 2.5,
        "checks": [{"status": "ok"}, {"status": "violated"}, {"status": "ok"}],
        "table": [row, row | {"generation": "b", "gap": None, "lake": None}],
    } | changes


def test_the_verdict_is_told_with_its_gap(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verdict()))
    found = told(Verdict(path))
    assert found["audit_finished_timestamp_seconds",] == NOW.timestamp()
    assert found["audit_checks", "ok"] == 2
    assert found["audit_gap_records", "0", "t"] == 1
    assert found["audit_records", "0", "kafka", "t"] == 10
    assert ("audit_records", "0", "lake", "t") not in found


@pytest.mark.parametrize("word", EXIT)
def test_what_the_audit_says_is_told_in_its_own_words(tmp_path: Path, word: str) -> None:
    path = tmp_path / "verdict.json"
    path.write_text(json.dumps(verdict(verdict=word, table=[])))
    found = told(Verdict(path))
    assert {one: found["audit_verdict", one] for one in EXIT} == {one: one == word for one in EXIT}


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"verdict": "ok"}', json.dumps(verdict(verdict="failed"))]
)
def test_what_is_no_verdict_fails(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "verdict.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(VerdictError, match="expected the audit's verdict in"):
        list(Verdict(path).read())


def test_jobs_are_passed_on(tmp_path: Path) -> None:
    assert told(Jobs(tmp_path / "none yet")) == {}
    for job in ("compact", "bars"):
        registry = CollectorRegistry()
        gauge = Gauge("tapehouse_job_succeeded", "1", ["job_name"], registry=registry)
        gauge.labels(job).set(job == "bars")
        write_to_textfile(str(tmp_path / f"{job}.prom"), registry)
    assert told(Jobs(tmp_path)) == {("job_succeeded", "bars"): 1, ("job_succeeded", "compact"): 0}


def test_spools_are_found_and_counted(tmp_path: Path) -> None:
    assert told(Spools([tmp_path / "none"])) == {}
    record = Outgoing("stock-quotes", b"AAPL", b"{}", [], "id")
    with Spool(tmp_path / "spool" / "finnhub", 2**20, SystemClock()) as spool:
        spool.put([record, record])
        found = told(Spools([tmp_path / "spool", tmp_path / "none"]))
    assert found["spool_records", "finnhub"] == 2
    assert found["spool_set_aside_records", "finnhub"] == 0


def test_budgets_and_disk(tmp_path: Path) -> None:
    found = told(Budgets(tmp_path, LimitsSettings.load(), At(NOW)))
    assert found["provider_requests_left", "25/day", "alphavantage"] == 25
    assert found["provider_shut", "yahoo"] == 0
    disk = told(Disk(tmp_path))
    assert 0 < disk["disk_free_bytes",] < disk["disk_size_bytes",]
    with pytest.raises(OSError, match="none"):
        list(Disk(tmp_path / "none").read())


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """A warehouse with the load's own tables and a build's books, and one failed build."""
    path = tmp_path / "warehouse.duckdb"
    monkeypatch.setenv("WAREHOUSE_PATH", str(path))
    loaded = datetime(2026, 11, 25, 14, 40)  # noqa: DTZ001 - as warehouses keep it
    with duckdb.connect(path) as db:
        db.execute((ROOT / "ingestion" / "load" / "duckdb.sql").read_text())
        ledger = "insert into ops.load_ledger values (?, ?, null, ?, ?, 1, ?)"
        later = loaded + timedelta(minutes=1)
        db.execute(ledger, ["common.bronze_stock_quotes_raw", "a", 2, 100, loaded])
        db.execute(ledger, ["common.bronze_stock_quotes_raw", "b", 0, 50, later])
        for offset, (symbol, event) in enumerate(
            [("AAPL", "2026-11-25T14:31:00.5Z"), ("AAPL", "2026-11-24T20:59:00Z"), (None, "x")]
        ):
            value = {"offset": offset, "value": {"source": "finnhub", "simulated": False}}
            value["value"] |= {"symbol": symbol, "event_time": event}  # type: ignore[operator]
            db.execute(
                "insert into common.bronze_stock_quotes_raw values "
                "(?::json::variant, 'stock-quotes', 'g', 1, 'a', ?, 1)",
                [json.dumps(value), loaded],
            )
        db.execute(
            "create table ops.builds (build_id varchar, status varchar, started_at timestamp, "
            "finished_at timestamp)"
        )
        for name, status, minutes in (("a", "published", 0), ("b", "failed", 5)):
            began = loaded + timedelta(minutes=minutes)
            row = [name, status, began, began + timedelta(seconds=90)]
            db.execute("insert into ops.builds values (?, ?, ?, ?)", row)
    return Books(WarehouseSettings.load(), FRESHNESS)


def test_the_books_are_told(books: Books) -> None:
    found = told(books)
    assert found["load_rows_total", "bronze_stock_quotes_raw"] == 2
    assert found["load_files_total", "bronze_stock_quotes_raw"] == 2
    # A file without rows is no news.
    assert found["load_last_timestamp_seconds", "bronze_stock_quotes_raw"] == 1795617600
    assert found["warehouse_end_offset", "g", "1", "stock-quotes"] == 3
    assert found["build_last_failed",] == 1
    assert found["builds_total", "failed"] == found["builds_total", "published"] == 1
    assert found["build_published_duration_seconds",] == 90
    key = ("quotes", "false", "finnhub", "warehouse", "AAPL")
    assert found["newest_event_timestamp_seconds", *key] == 1795617060.5
    assert found["newest_event_trading_age_seconds", *key] == 1739.5


def test_a_partition_keeps_its_end_however_long_it_has_been_quiet(books: Books) -> None:
    # A line whose offset could not be read does not count.
    with duckdb.connect(WarehouseSettings.load().file()) as db:
        for generation, offset, loaded in (
            ("f", 9000, datetime(2026, 10, 30, 14, 40)),  # noqa: DTZ001 - as warehouses keep it
            ("g", 4999, datetime(2026, 11, 1, 14, 40)),  # noqa: DTZ001 - likewise
        ):
            db.execute(
                "insert into common.bronze_stock_quotes_raw values "
                "(?::json::variant, 'stock-quotes', ?, 3, 'a', ?, 1)",
                [json.dumps({"offset": offset}), generation, loaded],
            )
        db.execute(
            "insert into common.bronze_stock_quotes_rejects values ('stock-quotes', 'g', 2, null,"
            " 1, 'not_utf8', '', 'base64', 'a', timestamp '2026-11-25 14:40', 1)"
        )
    found = told(books)
    ends = {key: end for key, end in found.items() if key[0] == "warehouse_end_offset"}
    assert ends == {
        ("warehouse_end_offset", "f", "3", "stock-quotes"): 9001,
        ("warehouse_end_offset", "g", "1", "stock-quotes"): 3,
        ("warehouse_end_offset", "g", "3", "stock-quotes"): 5000,
    }


def test_a_writer_makes_the_books_busy_and_leaves_them_alone(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.prometheus.exporter.warehouse._WAIT_S", 0.1)
    # Another handle, as another process has one: this process's own lock object would let it in.
    with FileLock(WarehouseSettings.load().lock(), is_singleton=False), pytest.raises(BusyError):
        books.read()
    assert told(books)
    assert not project_lock(WarehouseSettings.load().lock()).is_locked


def test_without_a_warehouse_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "none"))
    with pytest.raises(LoadError, match="nothing was loaded yet"):
        Books(WarehouseSettings.load(), FRESHNESS).read()
