"""What jobs tell Prometheus."""

from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestion.clock import SystemClock
from spark_jobs import metrics
from spark_jobs.report import JobSummary


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
