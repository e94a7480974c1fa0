"""``python -m drill lake``: kill the lake's jobs at each step; the lake must be as ever."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from drill.lake.scenes import Scene, scenes
from drill.lake.stage import Stage, opened
from ingestion.cli import one_line, write_report
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings

_ROUNDS: Final = 50


@dataclass
class Outcome:
    """What became of a scene; ``verdict`` is green or red."""

    scene: str
    verdict: str = "red"
    seconds: float = 0.0
    proofs: list[str] = field(default_factory=list)
    reason: str = ""


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
    paths = [folder / "report.json", *([report] if report else [])]
    for path in paths:
        path.unlink(missing_ok=True)
    chosen = [one for one in scenes(rounds) if not scene or any(word in one.name for word in scene)]
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with opened(folder / "stack") as stage:
        for one in chosen:
            outcomes.append(_played(one, stage))
            typer.echo(_line(outcomes[-1]))
            _write(paths, outcomes, began, "incomplete")
            if outcomes[-1].verdict == "red":
                break  # what follows would be compared with a lake that is wrong already
    is_green = len(outcomes) == len(chosen) > 0 and outcomes[-1].verdict == "green"
    _write(paths, outcomes, began, "green" if is_green else "red")
    typer.echo(f"{'green' if is_green else 'red'}: {len(outcomes)} of {len(chosen)} scenes played")
    if not is_green:
        raise typer.Exit(1)


def _played(scene: Scene, stage: Stage) -> Outcome:
    found, began = Outcome(scene.name), time.monotonic()
    try:
        found.proofs.extend(scene.play(stage))
        found.proofs += [stage.compare(), stage.audit()]
        found.verdict = "green"
    except (TapehouseError, TimeoutError) as error:
        found.reason = one_line(str(error))
    found.seconds = round(time.monotonic() - began, 1)
    return found


def _line(one: Outcome) -> str:
    told = one.reason or "; ".join(one.proofs)
    return f"{one.verdict:5} {one.scene} ({one.seconds:.1f} s): {told}"


def _write(paths: list[Path], outcomes: list[Outcome], began: float, verdict: str) -> None:
    document = {
        "verdict": verdict,
        "seconds": round(time.monotonic() - began, 1),
        "scenes": [asdict(one) for one in outcomes],
    }
    for path in paths:
        write_report(path, document)
