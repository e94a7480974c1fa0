"""The commands ``python -m ingestion land`` and ``python -m ingestion drain``."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock
from ingestion.errors import StoreUnavailableError, TapehouseError
from ingestion.land import drain as draining
from ingestion.land.kafka import Kafka
from ingestion.land.process import TOPICS, assemble, close, open_sides, run_folder
from ingestion.land.store import BronzeStore

_DRAIN_PERIOD_S: Final = 0.5
_DRAIN_READ_TIMEOUT_S: Final = 5.0  # it only lists and reads metadata, and people wait for it

Report = Annotated[Path | None, typer.Option(help="Also write the counts to this file as JSON.")]


class DrainTimeoutError(TapehouseError):
    """Bronze did not reach the ends of the logs in time."""


def land(
    once: Annotated[
        bool, typer.Option(help="Land what Kafka holds now, then end; otherwise run for ever.")
    ] = False,
    name: Annotated[
        str, typer.Option(help="Name of this lander's status file; the process id by default.")
    ] = "",
    report: Report = None,
) -> None:
    """Land Kafka's records in bronze, each exactly once, as one member of the landers' group.

    Any number may run at once. SIGTERM lands what is held and ends within ten seconds.
    """
    process = assemble(name or str(os.getpid()), SystemClock())
    process.run(once)
    file = process.file
    counts = {"objects": file.objects, "records": file.records, "alarms": dict(file.alarms)}
    if report is not None:
        write_report(report, counts)
    if once:
        typer.echo(f"landed {file.records} records in {file.objects} objects")


def drain(
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the landers.")] = 60.0,
    report: Report = None,
) -> None:
    """Wait until bronze has reached the ends that Kafka's logs have now; exit 1 if it does not."""
    clock = SystemClock()
    kafka, store = open_sides(clock, _DRAIN_READ_TIMEOUT_S)
    try:
        rows = _wait_for(kafka, store, clock, timeout)
    except StoreUnavailableError as error:
        raise DrainTimeoutError(f"{error}; {draining.landers(run_folder(), clock)}") from error
    finally:
        close(kafka)
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


def _wait_for(
    kafka: Kafka, store: BronzeStore, clock: Clock, timeout_s: float
) -> list[draining.Progress]:
    targets = draining.ends(kafka, kafka.partitions(TOPICS))
    deadline = clock.monotonic() + timeout_s
    said = None
    while True:
        rows = draining.progress(kafka, store, targets)
        missing = sum(row.missing for row in rows)
        if missing and missing != said:
            typer.echo(f"waiting: {missing} offsets not in bronze yet", err=True)
            said = missing
        if not missing or clock.monotonic() >= deadline:
            return rows
        clock.sleep(_DRAIN_PERIOD_S)
