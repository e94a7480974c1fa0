"""``python -m drill lake``: kill the lake's jobs at each step; the lake must be as ever."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from drill.lake.scenes import Scene, scenes
from drill.lake.stage import Stage, opened
from drill.outcome import Outcome, Reports
from ingestion.cli import one_line
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings

_ROUNDS: Final = 50


@dataclass
class SceneOutcome(Outcome):
    """What became of a scene."""

    scene: str


def play(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of two compactors at once.")] = _ROUNDS,
    scene: Annotated[
        list[str] | None, typer.Option(help="Only scenes with this in their name.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report here too.")] = None,
) -> None:
    """Kill compaction and upkeep at each step, run two at once, expire in between; then compare.

    After each scene the lake's rows are those of one that nobody disturbed, every table has the
    same position, and the auditor finds bronze and the lake in order. Exits 1 where one is not so.
    """
    folder = ProjectSettings.load().state("drill-lake")
    reports = Reports.fresh(folder, report, "scenes")
    chosen = [one for one in scenes(rounds) if not scene or any(word in one.name for word in scene)]
    outcomes: list[SceneOutcome] = []
    with opened(folder / "stack") as stage:
        for one in chosen:
            outcomes.append(_played(one, stage))
            typer.echo(outcomes[-1].line(outcomes[-1].scene))
            reports.write(outcomes, "incomplete")
            if outcomes[-1].verdict == "red":
                break  # what follows would be compared with a lake that is wrong already
    is_green = len(outcomes) == len(chosen) > 0 and outcomes[-1].verdict == "green"
    reports.write(outcomes, "green" if is_green else "red")
    typer.echo(f"{'green' if is_green else 'red'}: {len(outcomes)} of {len(chosen)} scenes played")
    if not is_green:
        raise typer.Exit(1)


def _played(scene: Scene, stage: Stage) -> SceneOutcome:
    found, began = SceneOutcome(scene.name), time.monotonic()
    try:
        found.proofs.extend(scene.play(stage))
        found.proofs += [stage.compare(), stage.audit()]
        found.verdict = "green"
    except (TapehouseError, TimeoutError) as error:
        found.reason = one_line(str(error))
    found.seconds = round(time.monotonic() - began, 1)
    return found
