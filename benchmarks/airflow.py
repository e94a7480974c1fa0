"""Times Airflow: its start, the batch pipeline on 2,500 bars, its own share, the minute path.

An Airflow, a Kafka, a store and a warehouse of its own. Airflow's share of a run is what its tasks'
commands did not take: scheduling, starting and ending processes, parsing the dbt project a task.
"""

import statistics
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from drill.airflow.client import Run
from drill.airflow.scenes import BATCH, ended
from drill.airflow.world import World, opened
from ingestion import calendar
from ingestion.cli import write_report
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings

SYMBOLS: Final = ("AAPL", "IBM", "MSFT", "GOOG")
SESSIONS: Final = 625
LAST: Final = date(2013, 3, 1)
MINUTE: Final = "minio_to_snowflake"
FILL: Final = "backfill"
_SLOW_S: Final = 600.0
_POLL_S: Final = 0.2

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Row = dict[str, Any]


@app.command()
def main(
    runs: Annotated[int, typer.Option(min=1, help="How many batch runs.")] = 3,
    quotes: Annotated[int, typer.Option(min=1, help="How many quotes to follow to gold.")] = 20,
) -> None:
    """Run the batch pipeline several times, then follow quotes to gold; print seconds."""
    project = ProjectSettings.load()
    path, folder = project.state("bench", "airflow.json"), project.state("bench-airflow")
    try:
        with opened(folder, typer.echo) as world:
            ready = [world.ready_s]
            rows = _batch(world, runs)
        with opened(folder, typer.echo, is_scheduled=True) as world:
            ready.append(world.ready_s)
            rows += _minute(world, quotes)
    except (TapehouseError, TimeoutError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    rows.insert(0, _row("make airflow, until ready", ready))
    write_report(path, {"rows": rows})
    _show(rows, path)


def _bars() -> dict[str, Any]:
    first = calendar.get().sessions(None, LAST)[-SESSIONS].session_date
    return {
        "provider": "recorded",
        "symbols": list(SYMBOLS),
        "start": str(first),
        "end": str(LAST),
    }


def _batch(world: World, runs: int) -> list[Row]:
    found = [ended(world, BATCH, _bars(), "success") for _ in range(runs)]
    return [
        _row("batch run, wall", [run.seconds for run in found]),
        _row("  commands other than dbt models", [_of(run, is_model=False) for run in found]),
        _row("  dbt models, their tasks", [_of(run, is_model=True) for run in found]),
        _row("  between tasks", [run.seconds - _tasks(run) for run in found]),
        _row("a dbt model's task, median", [statistics.median(_models(run)) for run in found]),
        _row("a dbt model's task, slowest", [max(_models(run)) for run in found]),
    ]


def _models(run: Run) -> list[float]:
    return [task.seconds for name, task in run.tasks.items() if name.startswith("dbt.")]


def _of(run: Run, *, is_model: bool) -> float:
    tasks = run.tasks.items()
    return sum(task.seconds for name, task in tasks if name.startswith("dbt.") == is_model)


def _tasks(run: Run) -> float:
    return sum(task.seconds for task in run.tasks.values())


def _minute(world: World, quotes: int) -> list[Row]:
    """Send quotes now and then, and wait for the build that shows them; gold is filled before."""
    world.api.switch(FILL, on=True)
    ended(world, FILL, _bars(), "success")
    world.api.switch(MINUTE, on=True)
    delays = []
    for number in range(quotes):
        delays.append(_followed(world, number))
        world.say(f"  quote {number + 1} of {quotes}: {delays[-1]:.1f} s")
    slowest = sorted(delays)[max(0, -(-len(delays) * 95 // 100) - 1)]
    return [
        _row("landed to published, median", delays),
        {"what": "landed to published, p95", "unit": "s", "runs": [], "median": round(slowest, 1)},
    ]


def _followed(world: World, number: int) -> float:
    before = world.published()
    world.run(
        *("ingestion", "produce", "simulator", "--symbol", "AAPL", "--last-sessions", "1"),
        *("--volume-fraction", "0.0001", "--seed", str(100 + number)),
    )
    world.run("ingestion", "drain")
    landed = time.monotonic()
    while world.published() == before:
        if time.monotonic() - landed > _SLOW_S:
            raise TimeoutError(f"quote {number} was not published within {_SLOW_S:.0f} s")
        time.sleep(_POLL_S)
    delay = time.monotonic() - landed
    time.sleep(7.0 * (number % 5))  # so that each falls into another part of the minute
    return delay


def _row(what: str, runs: list[float]) -> Row:
    rounded = [round(one, 1) for one in runs]
    return {"what": what, "unit": "s", "runs": rounded, "median": statistics.median(rounded)}


def _show(rows: list[Row], path: Path) -> None:
    table = Table("seconds", "median", "runs")
    for row in rows:
        table.add_row(row["what"], str(row["median"]), ", ".join(map(str, row["runs"])))
    console = Console()
    console.print(table)
    console.print(f"written to {path}", highlight=False)


if __name__ == "__main__":
    app()
