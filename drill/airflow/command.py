"""``python -m drill airflow``: every DAG on a running Airflow, broken and killed, and judged."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from drill.airflow.pictures import Album
from drill.airflow.scenes import SCENES, Scene, backfilled
from drill.airflow.world import World, opened
from infra.setup import browser
from infra.setup.console import Console, SetupError
from ingestion.cli import one_line, write_report
from ingestion.errors import StackError, TapehouseError
from ingestion.settings import ProjectSettings


@dataclass
class Outcome:
    """What became of a scene; ``verdict`` is green or red."""

    scene: str
    verdict: str = "red"
    seconds: float = 0.0
    proofs: list[str] = field(default_factory=list)


class Record:
    """What became of the scenes so far, printed and in files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._outcomes: list[Outcome] = []

    def played(self, scenes: Sequence[Scene], world: World) -> bool:
        """Play scenes up to the first red one; tell whether there was none."""
        return all(self._is_green(scene, world) for scene in scenes)

    def _is_green(self, scene: Scene, world: World) -> bool:
        found = _played(scene, world)
        self._outcomes.append(found)
        typer.echo(_line(found))
        for path in self._paths:
            write_report(path, {"scenes": [asdict(one) for one in self._outcomes]})
        return found.verdict == "green"


def play(
    scene: Annotated[
        list[str] | None,
        typer.Option(help="Only scenes with this in their name, and those that they come after."),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here too.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Take pictures of the UI into this folder, by Chromium.")
    ] = None,
) -> None:
    """Trigger every DAG through the API of an Airflow of its own; check gold, ledger and audit.

    Runs fail where a test or a credential does, and end right where the scheduler is killed. A
    second, empty world with scheduling on is filled in one go, to the same gold; there the export
    follows by itself. Exits 1 where one is not so.
    """
    folder = ProjectSettings.load().state("drill-airflow")
    chosen = _with(scene) if scene else SCENES
    album = _album(pictures, folder / "browser.log") if pictures else None
    record = Record([folder / "report.json", *([report] if report else [])])
    afresh = [one for one in chosen if one.is_afresh]
    # T3: whatever the lander holds is an object at once: there are more than a listing's page has.
    with opened(folder / "stack", typer.echo, {"LAND_MAX_BYTES": "1"}, album=album) as world:
        world.is_filled_again = any(one.play is backfilled for one in afresh)
        is_green = record.played([one for one in chosen if not one.is_afresh], world)
    if is_green and afresh:
        with opened(folder / "afresh", typer.echo, is_scheduled=True) as world:
            is_green = record.played(afresh, world)
    if not is_green:
        raise typer.Exit(1)


def _with(words: Sequence[str]) -> list[Scene]:
    """Return the scenes with one of these in their names, and those that they come after."""
    for word in words:
        if not any(word in one.name for one in SCENES):
            known = ", ".join(one.name for one in SCENES)
            raise typer.BadParameter(f"expected a part of {known}, found {word!r}")
    named = [one for one in SCENES if any(word in one.name for word in words)]
    wanted = {"batch", *(one.name for one in named), *(one.after for one in named)}
    return [one for one in SCENES if one.name in wanted]


def _album(folder: Path, log: Path) -> Album:
    """Return an album, with a browser at hand before the minutes of a run are spent."""
    try:
        return Album(folder, browser.ensure(Console(total=1), log))
    except SetupError as error:
        raise StackError(str(error)) from error


def _played(scene: Scene, world: World) -> Outcome:
    found, began = Outcome(scene.name), time.monotonic()
    try:
        found.proofs = scene.play(world)
        found.verdict = "green"
    except (TapehouseError, TimeoutError) as error:
        found.proofs = [one_line(str(error))]
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _line(found: Outcome) -> str:
    return (
        f"{found.verdict:<6} {found.scene:<20} {found.seconds:>7.1f} s  {'; '.join(found.proofs)}"
    )
