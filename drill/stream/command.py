"""``python -m drill stream``: every fault at once, the stream killed; all must say the same."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import typer

from drill.outcome import Outcome, Reports
from drill.stack import own_stack
from drill.stream import market
from drill.stream.expected import expected
from drill.stream.stage import LATENESS, Stage
from ingestion.cli import one_line
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings

_SEEDS: Final = 3
_SYMBOLS: Final = 5
_WEEKENDS: Final = (market.AUTUMN, market.SPRING)


@dataclass
class SeedOutcome(Outcome):
    """What became of a seed."""

    seed: int
    sessions: list[str]
    faults: Mapping[str, int] = field(default_factory=dict)


def play(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = _SEEDS,
    first: Annotated[int, typer.Option(help="The first of them.")] = 1,
    symbols: Annotated[int, typer.Option(min=2, help="Symbols in the market.")] = _SYMBOLS,
    report: Annotated[Path | None, typer.Option(help="Write the report here too.")] = None,
) -> None:
    """Send a market with every fault, kill the stream in between, and compute all by brute force.

    In the end batch, stream and brute force must say the same, and the auditor must find bronze and
    the lake in order. Exits 1 where one does not.
    """
    folder = ProjectSettings.load().state("drill-stream")
    reports = Reports.fresh(folder, report, "seeds")
    outcomes = list[SeedOutcome]()
    for seed in range(first, first + seeds):
        outcomes.append(_played(seed, symbols, folder))
        typer.echo(outcomes[-1].line(f"seed {seed}"))
        reports.write(outcomes, "incomplete")
    is_green = all(one.verdict == "green" for one in outcomes)
    reports.write(outcomes, "green" if is_green else "red")
    if not is_green:
        raise typer.Exit(1)


def _played(seed: int, symbols: int, folder: Path) -> SeedOutcome:
    days = _WEEKENDS[seed % len(_WEEKENDS)]
    found = SeedOutcome(seed, [day.isoformat() for day in days])
    began = time.monotonic()
    try:
        sent = market.sent(seed, symbols, days, folder)
        found.faults = sent.faults
        wanted = expected([record.value for record in sent.records], LATENESS)
        with own_stack(folder / "stack") as layout:
            stage = Stage(layout, seed)
            found.proofs.extend(stage.stream(sent.records))
            found.proofs += [stage.batch(), stage.compare(wanted)]
        found.verdict = "green"
    except TapehouseError as error:
        found.reason = one_line(str(error))
    found.seconds = round(time.monotonic() - began, 1)
    return found
