"""``python -m drill publish``: readers never fail, whatever becomes of the publisher."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from drill.publish import judge, race, sweep
from drill.publish.sweep import Found
from ingestion.cli import write_report
from ingestion.errors import BuildError
from ingestion.settings import ProjectSettings


def play(
    publishes: Annotated[int, typer.Option(min=3, help="Builds under readers.")] = 50,
    failing: Annotated[int, typer.Option(min=0, help="Those of them that fail.")] = 10,
    stride: Annotated[
        int, typer.Option(min=1, help="Kill before every n-th step only, and of full disks.")
    ] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the report here too.")] = None,
) -> None:
    """Publish under readers in a loop; kill publish, rollback and healing at every step.

    A failing build fails a test or is killed at one of its steps. Exits 1 where a reader failed,
    saw a mixture of builds or one that was not published, or saw a new one after five seconds.
    """
    folder = ProjectSettings.load().state("drill", "publish")
    began = time.monotonic()
    wrong, facts = _race(folder, publishes, failing)
    for found in _sweeps(folder, stride):
        facts.setdefault("sweeps", []).append(found.line())
        typer.echo(found.line())
        wrong += [found.line()] * bool(found.wrong)
    verdict = "red" if wrong else "green"
    seconds = round(time.monotonic() - began, 1)
    document = {"verdict": verdict, "wrong": wrong, "seconds": seconds, **facts}
    for path in (folder / "report.json", *([report] if report else [])):
        write_report(path, document)
    for line in wrong:
        typer.echo(f"wrong: {line}")
    typer.echo(f"{verdict} after {seconds:.0f} s")
    if wrong:
        raise typer.Exit(1)


def _race(folder: Path, publishes: int, failing: int) -> tuple[list[str], dict[str, Any]]:
    course = race.run(folder / "race", race.fates(publishes, failing))
    wrong = judge.wrong(course)
    facts: dict[str, Any] = {
        "published": len(course.published),
        "failed": len(course.failed),
        "killed": len(course.killed),
        "reads": {one.name: one.reads for one in course.told},
        "seen": {one.name: len(one.sights) for one in course.told},
        "slowest_s": round(judge.slowest_s(course), 3),
    }
    typer.echo(
        f"{facts['published']} builds published, {facts['failed']} failed, {facts['killed']} "
        f"killed; reads: {facts['reads']}; slowest sight {facts['slowest_s']} s"
    )
    if len(course.published) + len(course.failed) + len(course.killed) != publishes:
        raise BuildError("the course was not played to its end")
    return [*wrong, *race.race(folder / "two", 5)], facts


def _sweeps(folder: Path, stride: int) -> list[Found]:
    found = []
    for operation in sweep.operations():
        found.append(sweep.kills(folder / "kills", operation, stride))
        if operation.name != "heal":
            found.append(sweep.full_disks(folder / "disks", operation, stride))
    return found
