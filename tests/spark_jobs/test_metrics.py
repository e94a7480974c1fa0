"""What jobs tell Prometheus."""

from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion.clock import SystemClock
from spark_jobs import metrics
from spark_jobs.report import JobSummary
from spark_jobs.upkeep import Files, State
from spark_jobs.upkeep_report import Summary, TableUpkeep


def samples(path: Path) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("tapehouse_job_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def test_a_job_tells_what_it_did(tmp_path: Path) -> None:
    summary = JobSummary("compact", read=7, files=2, bytes=900, commits=3, seconds=1.5)
    summary.written, summary.rejected = Counter(bars=4), Counter(duplicate=3)

    with metrics.told(tmp_path / "new", ["compact"], SystemClock()) as tell:
        tell(summary)

    found = samples(tmp_path / "new" / "compact.prom")
    assert found.pop(("finished_timestamp_seconds", "compact")) > 1.7e9
    assert found == {
        ("succeeded", "compact"): 1,
        ("duration_seconds", "compact"): 1.5,
        ("read_records", "compact"): 7,
        ("objects", "compact"): 0,
        ("written_files", "compact"): 2,
        ("written_bytes", "compact"): 900,
        ("commits", "compact"): 3,
        ("retries", "compact"): 0,
        ("written_rows", "compact", "bars"): 4,
        ("rejected_records", "compact", "duplicate"): 3,
    }


def test_a_line_tells_all_counts_also_those_that_are_none() -> None:
    summary = JobSummary("compact", read=1234, files=2, bytes=3 * 2**20, commits=3, seconds=1.54)
    assert summary.line() == (
        "compact: read 1,234, written 0, rejected 0, duplicated 0, files 2 (3.0 MiB), commits 3, "
        "1.5 s"
    )
    summary.written = Counter(trades=1200, rejects=34, bars=0)
    summary.rejected = Counter(duplicate=30, contract=3, conflict=1)
    assert summary.line().startswith(
        "compact: read 1,234, written 1,234 (rejects 34, trades 1,200), "
        "rejected 4 (conflict 1, contract 3), duplicated 30, files 2"
    )
    assert summary.duplicates == 30


def test_the_job_that_fails_says_so_and_the_one_before_it_has_succeeded(tmp_path: Path) -> None:
    jobs = ["compact", "daily-metrics", "window-metrics"]
    with (
        pytest.raises(RuntimeError, match="killed"),
        metrics.told(tmp_path, jobs, SystemClock()) as tell,
    ):
        tell(JobSummary("compact"))
        raise RuntimeError("killed")

    found = [samples(path) for path in sorted(tmp_path.glob("*.prom"))]
    assert [one.get(("succeeded", name)) for one, name in zip(found, jobs, strict=False)] == [1, 0]
    assert len(found) == 2


def test_upkeep_tells_what_it_did_to_each_table(tmp_path: Path) -> None:
    before = State(Files(9, 900), Files(1, 10), records=7, snapshots=5)
    upkeep = TableUpkeep(before, Files(20, 2000), rewritten=Files(4, 40), expired_snapshots=3)
    upkeep.expired, upkeep.orphans = Files(1, 100), Files(2, 11)
    summary = Summary(True, {"silver.bars": upkeep, "silver.trades": upkeep}, seconds=2.5)

    with metrics.told(tmp_path, ["maintain"], SystemClock()) as tell:
        tell(summary)

    found = samples(tmp_path / "maintain.prom")
    assert found[("duration_seconds", "maintain")] == 2.5
    assert found[("upkeep_applied", "maintain")] == 1
    names = ["data_files", "data_bytes", "stored_bytes", "snapshots", "rewritten_files"]
    names += ["expired_snapshots", "orphan_files", "freed_bytes"]
    for table in summary.tables:
        told = [found[(f"upkeep_{name}", "maintain", table)] for name in names]
        assert told == [9, 900, 2000, 5, 4, 3, 2, 111]
