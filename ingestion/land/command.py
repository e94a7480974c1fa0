"""The commands ``land``, ``drain`` and ``status`` of ``python -m ingestion``."""

import json
import os
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from structlog.contextvars import bind_contextvars

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock
from ingestion.contracts.topics import TOPICS
from ingestion.errors import StoreUnavailableError, TapehouseError
from ingestion.land import drain as draining
from ingestion.land.backlog import Backlog
from ingestion.land.fleet import Fleet, follow_parent, plans, tell_parent
from ingestion.land.overview import Overview, look
from ingestion.land.process import Settings, assemble, open_sides, run_folder
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore
from ingestion.land.table import console, show
from ingestion.settings import KafkaSettings, LandSettings

_DRAIN_PERIOD_S: Final = 0.5
_DRAIN_READ_TIMEOUT_S: Final = 5.0  # it only lists and reads metadata, and people wait for it

Report = Annotated[Path | None, typer.Option(help="Also write the counts to this file as JSON.")]


class DrainTimeoutError(TapehouseError):
    """Bronze did not reach the ends of the logs in time."""


def land(
    once: Annotated[
        bool, typer.Option(help="Land what Kafka holds now, then end; otherwise run for ever.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(min=1, help="Lander processes to run; LAND_PROCESSES by default."),
    ] = None,
    name: Annotated[
        str, typer.Option(help="Name of this lander's status file; the process id by default.")
    ] = "",
    report: Report = None,
    follow: Annotated[
        bool, typer.Option("--follow-parent", hidden=True, help="End when standard input ends.")
    ] = False,
) -> None:
    """Land Kafka's records in bronze, each exactly once, as one member of the landers' group.

    Any number may run at once, also under one parent: with --processes N the command starts N
    landers, called <name>-0 to <name>-<N-1>, and starts one that dies again. SIGTERM lands what is
    held and ends within ten seconds.
    """
    name = name or str(os.getpid())
    count = processes or LandSettings.load().processes
    if follow:
        follow_parent()
    done = _land_by_many(count, name, once) if count > 1 else _land(name, once)
    if report is not None:
        write_report(report, done)
    if follow:
        tell_parent(done)
    elif once:
        typer.echo(f"landed {done['records']} records in {done['objects']} objects")


def _land(name: str, once: bool) -> dict[str, Any]:
    bind_contextvars(lander=name)
    process = assemble(name, SystemClock())
    process.run(once)
    counts, alarms = process.file.counts, process.file.alarms
    return {"objects": counts.objects, "records": counts.records, "alarms": dict(alarms)}


def _land_by_many(count: int, name: str, once: bool) -> dict[str, Any]:
    fleet = Fleet(plans(LandSettings.load(), count, name, once), SystemClock(), once)
    fleet.run()
    return fleet.done()


def drain(
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the landers.")] = 60.0,
    report: Report = None,
) -> None:
    """Wait until bronze has reached the ends that Kafka's logs have now; exit 1 if it does not."""
    clock = SystemClock()
    sides = open_sides(Settings(), clock, _DRAIN_READ_TIMEOUT_S)
    try:
        rows = _wait_for(sides.questions, sides.store, clock, timeout)
    except StoreUnavailableError as error:
        raise DrainTimeoutError(f"{error}; {draining.landers(run_folder(), clock)}") from error
    if report is not None:
        write_report(report, {str(r.partition): {"landed": r.landed, "end": r.end} for r in rows})
    behind = [r for r in rows if r.missing]
    if behind:
        names = ", ".join(f"{r.partition} ({r.missing} missing)" for r in behind)
        raise DrainTimeoutError(
            f"bronze did not reach Kafka's ends in {timeout:.0f} s: {names}; "
            f"{draining.landers(run_folder(), clock)}"
        )
    typer.echo(f"drained: bronze holds all {sum(r.end for r in rows)} offsets of Kafka")


def status(
    watch: Annotated[
        float | None, typer.Option(min=0.2, help="Look again every so many seconds, until Ctrl+C.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, with --watch one a line.")
    ] = False,
) -> None:
    """Show each lander's partitions: lag, throughput, what is held and the oldest not in bronze.

    Exits 1 where a lander is silent, stalled or failing, where none runs and records wait, or where
    Kafka does not answer.
    """
    clock = SystemClock()
    backlog = Backlog(KafkaSettings.load())
    with closing(backlog):
        found = _tell(backlog, clock, as_json)
        with suppress(KeyboardInterrupt):
            while watch is not None:
                clock.sleep(watch)
                found = _tell(backlog, clock, as_json)
    if found.problems:
        raise typer.Exit(1)


def _tell(backlog: Backlog, clock: Clock, as_json: bool) -> Overview:
    found = look(run_folder(), clock, lambda: backlog.ask(TOPICS))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return found
    out = console()
    if out.is_terminal:
        out.clear()
    show(found, out)
    return found


def _wait_for(
    questions: Questions, store: BronzeStore, clock: Clock, timeout_s: float
) -> list[draining.Progress]:
    targets = draining.ends(questions, questions.partitions(TOPICS))
    deadline = clock.monotonic() + timeout_s
    said = None
    while True:
        rows = draining.progress(questions, store, targets)
        missing = sum(row.missing for row in rows)
        if missing and missing != said:
            typer.echo(f"waiting: {missing} offsets not in bronze yet", err=True)
            said = missing
        if not missing or clock.monotonic() >= deadline:
            return rows
        clock.sleep(_DRAIN_PERIOD_S)
