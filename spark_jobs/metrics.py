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
from spark_jobs.report import Sample, Told

_PREFIX: Final = "tapehouse_job"


@contextmanager
def told(folder: Path, jobs: Iterable[str], clock: Clock) -> Iterator[Callable[[Told], None]]:
    """Yield what is told the summary of each job; where the block fails, the next job has failed.

    Raises:
        OSError: the folder cannot be written to.
    """
    waiting = list(dict.fromkeys(jobs))

    def done(summary: Told) -> None:
        if summary.job in waiting:  # a job may be asked for twice
            waiting.remove(summary.job)
        _write(folder, summary.job, summary, clock)

    try:
        yield done
    except BaseException:
        if waiting:
            _write(folder, waiting[0], None, clock)
        raise


def _write(folder: Path, job: str, summary: Told | None, clock: Clock) -> None:
    registry = CollectorRegistry()
    families: dict[str, Gauge] = {}
    for sample in _samples(summary, clock):
        labels = {"job_name": job, **dict([sample.label] if sample.label else [])}
        if sample.name not in families:
            name = f"{_PREFIX}_{sample.name}"
            families[sample.name] = Gauge(name, sample.help, labels.keys(), registry=registry)
        families[sample.name].labels(**labels).set(sample.value)
    folder.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(folder / f"{job}.prom"), registry)


def _samples(summary: Told | None, clock: Clock) -> Iterator[Sample]:
    yield Sample("succeeded", "1 where the last run succeeded", summary is not None)
    yield Sample("finished_timestamp_seconds", "When the last run ended", clock.now().timestamp())
    if summary is not None:
        yield from summary.samples()
