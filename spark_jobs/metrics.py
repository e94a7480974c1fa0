"""What jobs did, for Prometheus: a text file for each job, replaced when it ends.

Jobs live for seconds: there is nothing to scrape. node_exporter's textfile collector reads the
folder (``--collector.textfile.directory``); a job that failed says so there, too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from ingestion.clock import Clock
from spark_jobs.report import JobSummary

_PREFIX: Final = "tapehouse_job"
# Name, attribute of the summary, help.
_COUNTS: Final = (
    ("duration_seconds", "seconds", "How long the last run took, without the session's start"),
    ("read_records", "read", "Records that the last run read"),
    ("objects", "objects", "Bronze objects that the last run covered"),
    ("written_files", "files", "Data files that the last run wrote"),
    ("written_bytes", "bytes", "Bytes of these files"),
    ("commits", "commits", "Commits that the last run published"),
    ("retries", "retries", "How often the last run began again because another one had committed"),
)


@contextmanager
def told(folder: Path, jobs: Iterable[str], clock: Clock) -> Iterator[Callable[[JobSummary], None]]:
    """Yield what is told the summary of each job; where the block fails, the next job has failed.

    Raises:
        OSError: the folder cannot be written to.
    """
    waiting = list(dict.fromkeys(jobs))

    def done(summary: JobSummary) -> None:
        if summary.job in waiting:  # a job may be asked for twice
            waiting.remove(summary.job)
        _write(folder, summary.job, summary, clock)

    try:
        yield done
    except BaseException:
        if waiting:
            _write(folder, waiting[0], None, clock)
        raise


def _write(folder: Path, job: str, summary: JobSummary | None, clock: Clock) -> None:
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float, **labels: str) -> None:
        known = {"job_name": job, **labels}
        family = Gauge(f"{_PREFIX}_{name}", text, known.keys(), registry=registry)
        family.labels(**known).set(value)

    gauge("succeeded", "1 where the last run succeeded", summary is not None)
    gauge("finished_timestamp_seconds", "When the last run ended", clock.now().timestamp())
    if summary is not None:
        for name, attribute, text in _COUNTS:
            gauge(name, text, getattr(summary, attribute))
        _by_label(registry, job, "written_rows", "Rows that it wrote", "table", summary.written)
        _by_label(registry, job, "rejected_records", "Rejects", "reason", summary.rejected)
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(folder / f"{job}.prom"), registry)


def _by_label(
    registry: CollectorRegistry,
    job: str,
    name: str,
    text: str,
    label: str,
    counts: dict[str, int],
) -> None:
    family = Gauge(f"{_PREFIX}_{name}", text, ("job_name", label), registry=registry)
    for value, count in counts.items():
        family.labels(job, value).set(count)
