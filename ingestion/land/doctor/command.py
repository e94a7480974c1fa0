"""The command ``python -m ingestion doctor``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock, rfc3339
from ingestion.errors import StoreUnfitError
from ingestion.land.doctor.examination import FULL, examine
from ingestion.land.doctor.findings import Finding, document, failures, line
from ingestion.land.doctor.site import Plan, Site
from ingestion.land.doctor.stamp import Stamps, Subject
from ingestion.settings import ProjectSettings, StoreSettings


def doctor(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each race.")] = FULL.rounds,
    racers: Annotated[
        int, typer.Option(min=2, max=200, help="Writers that want one key at once.")
    ] = FULL.racers,
    processes: Annotated[
        int, typer.Option(min=1, max=50, help="Processes that the writers are spread over.")
    ] = FULL.processes,
    lists: Annotated[
        int, typer.Option(min=1, help="PUTs that are each followed by a listing.")
    ] = FULL.lists,
    report: Annotated[
        Path | None, typer.Option(help="Also write the findings to this file as JSON.")
    ] = None,
) -> None:
    """Probe the object store with the lander's identity; exit 1 where it is not fit for landing.

    Landing starts only on a store that has passed, one that has failed before at the default extent
    or more. Nothing is written to bronze or the lake.
    """
    clock, settings = SystemClock(), StoreSettings.load()
    site = Site.open(settings, clock, Plan(rounds, racers, min(processes, racers), lists))
    subject = Subject.of(settings, site.server())
    typer.echo(f"{subject.server or 'a store without a name'} at {subject.endpoint}")
    found = examine(site, lambda finding: typer.echo(line(finding)))
    said = _keep(subject, found, site.plan, clock)
    if report is not None:
        write_report(report, asdict(subject) | {"at": rfc3339(clock.now())} | document(found))
    if failures(found):
        names = ", ".join(finding.check for finding in failures(found))
        raise StoreUnfitError(f"the store at {subject.endpoint} is not fit for landing: {names}")
    typer.echo(said)


def _keep(subject: Subject, found: Sequence[Finding], plan: Plan, clock: Clock) -> str:
    """Keep the verdict for landers; return in words what a good one is worth."""
    stamps = Stamps(ProjectSettings.load().state("run"), clock)
    with stamps.lock():
        if stamps.enter(subject, found, plan):
            return "the store is fit for landing"
        least = ", ".join(
            f"--{name} {count}" for name, count in asdict(stamps.least(subject)).items()
        )
    return f"no check failed, but landers do not count on it: that takes {least} at least"
