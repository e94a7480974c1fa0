"""The commands ``python -m ingestion land`` and ``python -m ingestion drain``."""

import gc
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, QUOTES, REALTIME
from ingestion.errors import StoreUnavailableError, TapehouseError
from ingestion.land import drain as draining
from ingestion.land import memory, status
from ingestion.land.core import Core, Limits
from ingestion.land.failpoints import Failpoint
from ingestion.land.kafka import Kafka
from ingestion.land.once import Targets
from ingestion.land.requests import Requests, Workers
from ingestion.land.service import Lander
from ingestion.land.store import READ_TIMEOUT_S, BronzeStore, connect
from ingestion.settings import KafkaSettings, LandSettings, ProjectSettings, StoreSettings

TOPICS: Final = [BATCH, QUOTES, REALTIME, DEAD_LETTERS]
_WORKERS: Final = 8
_COLLECT_EVERY: Final = 200_000  # containers; a batch of messages makes some 50,000
_CLOSE_TIMEOUT_S: Final = 2.0
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
    clock = SystemClock()
    if LandSettings.load().trim_memory:
        memory.trim()
    kafka, store = _open(clock)
    status.sweep(_run_folder(), clock)
    file = status.StatusFile(status.path(_run_folder(), name or str(os.getpid())), clock)
    lander = _lander(kafka, store, file, clock)
    _calm_collector()
    try:
        lander.run(TOPICS, _end(lander, kafka, store, clock) if once else _on_signal())
    finally:
        _close(kafka)
    file.remove()
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
    kafka, store = _open(clock, _DRAIN_READ_TIMEOUT_S)
    try:
        rows = _wait_for(kafka, store, clock, timeout)
    except StoreUnavailableError as error:
        raise DrainTimeoutError(f"{error}; {draining.landers(_run_folder(), clock)}") from error
    finally:
        _close(kafka)
    if report is not None:
        write_report(report, {str(r.partition): {"landed": r.landed, "end": r.end} for r in rows})
    behind = [r for r in rows if r.missing]
    if behind:
        names = ", ".join(f"{r.partition} ({r.missing} missing)" for r in behind)
        raise DrainTimeoutError(
            f"bronze did not reach Kafka's ends in {timeout:.0f} s: {names}; "
            f"{draining.landers(_run_folder(), clock)}"
        )
    typer.echo(f"drained: bronze holds all {sum(r.end for r in rows)} offsets of Kafka")


def _open(clock: Clock, read_timeout_s: float = READ_TIMEOUT_S) -> tuple[Kafka, BronzeStore]:
    settings = StoreSettings.load()
    client = connect(settings, "lander", 2 * _WORKERS, read_timeout_s)
    store = BronzeStore(client, settings.bronze_bucket)
    own = LandSettings.load()
    kafka = Kafka(KafkaSettings.load(), clock, own.group_protocol, own.queue_bytes)
    store.check()
    kafka.check()
    return kafka, store


def _lander(kafka: Kafka, store: BronzeStore, file: status.StatusFile, clock: Clock) -> Lander:
    settings = LandSettings.load()
    core = Core(Limits(settings.max_bytes, settings.max_age_s, settings.budget_bytes))
    failpoint = Failpoint.from_environment()
    workers = Workers(_WORKERS, Requests(kafka, store, failpoint).perform)
    return Lander(core, kafka, workers, file, clock, failpoint)


def _calm_collector() -> None:
    """Collect rarely: the containers of a batch die by themselves, looking through them costs."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


def _end(lander: Lander, kafka: Kafka, store: BronzeStore, clock: Clock) -> Callable[[], bool]:
    stopped = _on_signal()
    targets = Targets(
        draining.ends(kafka, kafka.partitions(TOPICS)),
        lambda one: store.chain_end(one, kafka.generation(one.topic)),
        clock,
    )
    return lambda: stopped() or targets.are_reached(lander)


def _on_signal() -> Callable[[], bool]:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop.is_set


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


def _close(kafka: Kafka) -> None:
    """Leave the group, but never wait for a broker that is away: its session ends anyway."""
    closing = threading.Thread(target=kafka.close, name="close", daemon=True)
    closing.start()
    closing.join(_CLOSE_TIMEOUT_S)


def _run_folder() -> Path:
    return ProjectSettings.load().state("run")
