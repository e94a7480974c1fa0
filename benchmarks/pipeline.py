"""Times the batch job: 4 symbols x 625 sessions of real bars, produced to tested, published gold.

Each run has a stack, a lake and a warehouse of its own, started before the clock and empty. A run
counts only if all bars are in gold and the reconciliation closes.
"""

import statistics
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import stack
from ingestion.cli import write_report
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings
from pipeline import job
from pipeline.lock import alone
from pipeline.screen import Screen
from pipeline.stages import Outcome, Runner

SYMBOLS = ("AAPL", "IBM", "MSFT", "GOOG")
SESSIONS = 625
BARS = len(SYMBOLS) * SESSIONS
_SELECTION = [
    *(word for symbol in SYMBOLS for word in ("--symbol", symbol)),
    *("--last-sessions", str(SESSIONS)),
]
MART = "gold_daily_metrics"
TOTAL = "total"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    runs: Annotated[int, typer.Option(min=1, help="How many runs.")] = 3,
) -> None:
    """Run the batch job several times and print seconds by stage."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with alone(ProjectSettings.load()):  # a demo beside it would be in the figures
            measured = [_run(number, runs, console) for number in range(1, runs + 1)]
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    rows = _rows(measured)
    path = _write(rows)
    _show(rows, console, path)


def _run(number: int, runs: int, console: Console) -> dict[str, float]:
    console.print(f"run {number} of {runs}: starting an empty stack", highlight=False)
    with stack.temporary() as (home, environment):
        stages = [job.produce_bars(*_SELECTION), *job.after_produce()]
        screen = Screen(console, len(stages))
        runner = Runner(home / "stages", screen.running, environment)
        outcomes = []
        try:
            for stage in stages:
                outcomes.append(runner.run(stage))
                screen.finished(stage.name, outcomes[-1].seconds, outcomes[-1].says)
        finally:
            screen.stop()
    _require_all(outcomes)
    seconds = {outcome.name: outcome.seconds for outcome in outcomes}
    return seconds | {TOTAL: sum(seconds.values())}


def _require_all(outcomes: list[Outcome]) -> None:
    reports = {outcome.name: outcome.report for outcome in outcomes}
    in_gold = reports["build"]["rows"][MART]
    if in_gold != BARS or reports["reconcile"]["verdict"] != "ok":
        raise TapehouseError(f"expected {BARS} bars in {MART} and no gap, found {in_gold} bars")


def _rows(measured: list[dict[str, float]]) -> list[dict[str, Any]]:
    return [
        {
            "stage": name,
            "unit": "s",
            "runs": [round(run[name], 2) for run in measured],
            "median": round(statistics.median(run[name] for run in measured), 2),
        }
        for name in measured[0]
    ]


def _write(rows: list[dict[str, Any]]) -> Path:
    path = ProjectSettings.load().state("bench", "pipeline.json")
    document = {"bars": BARS, "in_gold": BARS, "machine": stack.machine(), "rows": rows}
    write_report(path, document)
    return path


def _show(rows: list[dict[str, Any]], console: Console, path: Path) -> None:
    shown = [
        {"stage": row["stage"]}
        | {f"run {number} s": value for number, value in enumerate(row["runs"], start=1)}
        | {"median s": row["median"]}
        for row in rows
    ]
    title = f"{BARS:,} of {BARS:,} real bars, produced to tested and published gold, reconciled"
    Screen(console, 0).table(title, shown)
    console.print(f"written to {path}", highlight=False)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.pipeline")
