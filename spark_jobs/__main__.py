"""The lake's jobs, from a shell."""

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from ingestion import calendar, logs, pins
from ingestion.clock import SystemClock
from ingestion.errors import SettingsError, TapehouseError
from ingestion.settings import KafkaSettings, LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import at_once, failures, jvm, kafka, metrics, session, stream_metrics, warmup
from spark_jobs.bronze import S3Bronze
from spark_jobs.context import JobContext
from spark_jobs.jobs import anomalies as anomalies_job
from spark_jobs.jobs import bars as bars_job
from spark_jobs.jobs import compact as compact_job
from spark_jobs.jobs import daily_metrics, window_metrics
from spark_jobs.jobs import maintain as maintain_job
from spark_jobs.jobs import stream as stream_job
from spark_jobs.jobs.maintain import Options as Upkeep
from spark_jobs.jobs.maintain import duration
from spark_jobs.jobs.revise import Range
from spark_jobs.report import Told

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print locals, which hold credentials
)


class Job(StrEnum):
    """What can be run."""

    COMPACT = "compact"
    BARS = "bars"
    ANOMALIES = "anomalies"
    DAILY = "daily-metrics"
    WINDOWS = "window-metrics"
    MAINTAIN = "maintain"


Work = Callable[[JobContext, Range], Told]
_JOBS: dict[Job, Work] = {
    Job.COMPACT: lambda context, _: compact_job.run(context),
    Job.BARS: bars_job.run,
    Job.ANOMALIES: anomalies_job.run,
    Job.DAILY: daily_metrics.run,
    Job.WINDOWS: window_metrics.run,
    Job.MAINTAIN: lambda context, _: maintain_job.run(context, Upkeep(), _pins()),
}

_METRICS: Final = {Job.BARS, Job.ANOMALIES, Job.DAILY, Job.WINDOWS}

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]
Report = Annotated[Path | None, typer.Option(help="Write the counts here, as JSON.")]
Master = Annotated[str | None, typer.Option(help="Spark master; LAKE_MASTER otherwise.")]
Debug = Annotated[bool, typer.Option(help="Show the traceback of a failure, and more logs.")]


@app.command()
def compact(report: Report = None, master: Master = None, debug: Debug = False) -> None:
    """Bring new bronze records into the lake: typed, each event once, rejects with reason."""
    _run([Job.COMPACT], Range(), report, master, debug)


@app.command()
def anomalies(
    start: Day = None,
    end: Day = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Flag odd trades, windows and sessions, or recompute sessions from start to end."""
    _run([Job.ANOMALIES], _range(start, end), report, master, debug)


@app.command()
def bars(
    start: Day = None,
    end: Day = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Bring bars of 1m to 1d up to the trades, or recompute sessions from start to end."""
    _run([Job.BARS], _range(start, end), report, master, debug)


@app.command(name="daily-metrics")
def daily(
    start: Day = None,
    end: Day = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Bring daily metrics up to the bars, or recompute sessions from start to end (included)."""
    _run([Job.DAILY], _range(start, end), report, master, debug)


@app.command(name="window-metrics")
def windows(
    start: Day = None,
    end: Day = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Bring trailing windows up to the trades, or recompute sessions from start to end."""
    _run([Job.WINDOWS], _range(start, end), report, master, debug)


@app.command()
def stream(
    available_now: Annotated[
        bool, typer.Option("--available-now", help="Stop when all that is there has been read.")
    ] = False,
    trigger: Annotated[str, typer.Option(help="Time between batches: 500ms, 5s, 1m.")] = "5s",
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Follow the trades in Kafka: windows and minute bars while they form; ends on SIGTERM."""
    with _readable(debug):
        trigger_s = None if available_now else _seconds(trigger)
    _tell(_streamed(trigger_s, master, debug), ["stream"], report, debug)


@app.command()
def maintain(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; a dry run otherwise.")] = False,
    older_than: Annotated[
        timedelta,
        typer.Option(parser=duration, help="Snapshots go that long after they were the newest."),
    ] = "7d",  # type: ignore[assignment]  # parsed like a person's
    orphan_grace: Annotated[
        timedelta,
        typer.Option(parser=duration, help="Files nobody refers to go at this age."),
    ] = "3d",  # type: ignore[assignment]
    force: Annotated[
        bool, typer.Option("--force", help="Allow times that can disturb running jobs.")
    ] = False,
    forget: Annotated[
        list[str] | None, typer.Option(help="Keep nothing more for this warehouse.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table, as silver.trades.")
    ] = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Rewrite small files, expire snapshots and remove orphans; shows what it would do."""
    options = Upkeep(
        apply, older_than, orphan_grace, force, tuple(forget or ()), tuple(table or ())
    )
    with _readable(debug):
        options.check()
    upkeep: Work = lambda context, _: maintain_job.run(context, options, _pins())  # noqa: E731
    _run([Job.MAINTAIN], Range(), report, master, debug, {Job.MAINTAIN: upkeep})


@app.command()
def run(
    jobs: list[Job],
    start: Day = None,
    end: Day = None,
    report: Report = None,
    master: Master = None,
    debug: Debug = False,
) -> None:
    """Run several jobs in one session, in the order given; metrics after each other at once."""
    _run(jobs, _range(start, end), report, master, debug)


@app.command(name="warm-up")
def warm_up(debug: Debug = False) -> None:
    """Make the class-data archive that halves the start of later sessions; once per set of jars."""
    with _readable(debug):
        if jvm.archive().is_file():
            typer.echo(f"already there: {jvm.archive()}")
        else:
            typer.echo(f"made {warmup.make_archive()}")


def _pins() -> maintain_job.Pins:
    return pins.read(LakeSettings.load().pins())


def _run(
    jobs: list[Job],
    sessions: Range,
    report: Path | None,
    master: str | None,
    debug: bool,
    work: Mapping[Job, Work] = _JOBS,
) -> None:
    _tell(_summaries(jobs, work, sessions, master, debug), jobs, report, debug)


def _tell(summaries: Iterator[Told], jobs: Sequence[str], report: Path | None, debug: bool) -> None:
    logs.configure(debug)
    began = time.monotonic()
    done: dict[str, Told] = {}
    try:
        with _readable(debug):
            folder = ProjectSettings.load().state("metrics")
            with metrics.told(folder, jobs, SystemClock()) as tell:
                for summary in summaries:
                    typer.echo(summary.line())
                    done[summary.job] = summary
                    tell(summary)
    finally:
        if report:
            counts = {name: summary.as_dict() for name, summary in done.items()}
            seconds = round(time.monotonic() - began, 3)
            document = {"complete": len(done) == len(set(jobs)), "jobs": counts, "seconds": seconds}
            report.parent.mkdir(parents=True, exist_ok=True)
            report.write_text(json.dumps(document, indent=2) + "\n")


def _summaries(
    jobs: Sequence[Job],
    work: Mapping[Job, Work],
    sessions: Range,
    master: str | None,
    debug: bool,
) -> Iterator[Told]:
    with _context(master, debug) as context:
        for together in _rounds(jobs):
            yield from at_once.run(
                [partial(_in_its_thread, work[job], context, sessions) for job in together]
            )


def _in_its_thread(work: Work, context: JobContext, sessions: Range) -> Told:
    session.activate(context.spark)
    return work(context, sessions)


def _rounds(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Cut a list of jobs into those that may run at once: metrics do not read each other."""
    found: list[Job] = []
    for job in jobs:
        if found and (not {job, found[-1]} <= _METRICS or job in found):
            yield found
            found = []
        found.append(job)
    if found:
        yield found


def _streamed(trigger_s: float | None, master: str | None, debug: bool) -> Iterator[Told]:
    stopped = _stopped_by_signal()
    settings, lake, store = KafkaSettings.load(), LakeSettings.load(), StoreSettings.load()
    kafka.check(settings)
    checkpoint = lake.stream_checkpoint or f"s3a://{store.lake_bucket}/checkpoints/stream"
    with _context(master, debug) as context:
        begin = kafka.begin(context.spark, settings, checkpoint)
        records = kafka.records(context.spark, settings, lake.stream_max_records, begin)
        headless = frozenset(partition for partition, offset in begin.items() if offset > 0)
        plan = stream_job.StreamPlan(checkpoint, trigger_s, lake.stream_partitions, headless)
        followed = stream_metrics.Followed()
        with stream_metrics.served(followed, lake):
            yield stream_job.run(context, records, plan, stopped, followed)


def _stopped_by_signal() -> Callable[[], bool]:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped.is_set


@contextmanager
def _context(master: str | None, debug: bool) -> Iterator[JobContext]:
    store = StoreSettings.load()
    bronze = S3Bronze.connect(store)
    # A store that is down or refuses us is known before the seconds that Spark takes to start.
    bronze.folders("")
    project = ProjectSettings.load()
    lake = LakeSettings.load()
    plan = session.SessionPlan(project, store, lake, master=master, debug=debug)
    lateness = timedelta(seconds=lake.lateness_s)
    # Translated while the session lives: an error of Spark's asks its JVM for its text.
    with session.running(plan) as spark, failures.translated():
        sessions_of = calendar.get(project.calendar)
        yield JobContext(spark, bronze, sessions_of, SystemClock(), lateness)


@contextmanager
def _readable(debug: bool) -> Iterator[None]:
    try:
        with failures.translated():
            yield
    except TapehouseError as error:
        if debug:
            Console(stderr=True).print_exception()
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def _range(start: datetime | None, end: datetime | None) -> Range:
    return Range(_day(start), _day(end))


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|m)", text)
    if found is None:
        raise SettingsError(f"--trigger: expected a time such as 500ms, 5s or 1m, found {text!r}")
    return int(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[2]]


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


if __name__ == "__main__":
    app()
