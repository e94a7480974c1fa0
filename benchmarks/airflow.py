"""Times Airflow: its start, the batch pipeline on 2,500 bars, its own share, the minute path.

An Airflow, a Kafka, a store and a warehouse of its own. Airflow's share of a run is what its tasks'
commands and dbt's nodes did not take: scheduling, starting and ending tasks, parsing the dbt
project in each, waiting. DAG files are timed by the DAG processor itself. An aim is met or missed,
and no more: nothing fails for a time.
"""

import statistics
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.airflow_share import Spent, p95, verdict
from drill.airflow.scenes import BATCH, FILL, ended
from drill.airflow.world import World, opened
from ingestion import calendar
from ingestion.cli import write_report
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings

SYMBOLS: Final = ("AAPL", "IBM", "MSFT", "GOOG")
SESSIONS: Final = 625
LAST: Final = date(2013, 3, 1)
MINUTE: Final = "minio_to_snowflake"
# Seconds: what was meant to be reached.
READY_AIM: Final = 40.0
NODE_AIM: Final = 5.0
REST_AIM: Final = 60.0
PUBLISHED_AIM: Final = 60.0
PARSE_AIM: Final = 1.0
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
            rows = _parses(world)
            rows += _batch(world, runs)
        with opened(folder, typer.echo, is_scheduled=True) as world:
            ready.append(world.ready_s)
            rows += _minute(world, quotes)
    except (TapehouseError, TimeoutError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    rows.insert(0, _row("make airflow, until ready", ready, READY_AIM))
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


def _parses(world: World) -> list[Row]:
    """Wait until the processor has parsed every file once more: the first time Airflow starts."""
    before = found = world.api.parses()
    began = time.monotonic()
    while any(found[name].at == one.at for name, one in before.items()):
        if time.monotonic() - began > _SLOW_S:
            raise TimeoutError(f"not every DAG was parsed again within {_SLOW_S:.0f} s")
        time.sleep(_POLL_S)
        found = world.api.parses()
    return [
        _row(f"parse of {name}.py", [one.seconds], PARSE_AIM) for name, one in sorted(found.items())
    ]


def _batch(world: World, runs: int) -> list[Row]:
    found = []
    for _ in range(runs):
        run = ended(world, BATCH, _bars(), "success")
        tasks = {name: task.seconds for name, task in run.tasks.items()}
        found.append(Spent(run.seconds, tasks, world.api.seconds(BATCH, run.run_id)))
    return spent(found)


def spent(runs: list[Spent]) -> list[Row]:
    """Return the rows of batch runs."""
    return [
        _row("batch run, wall", [run.wall for run in runs]),
        _row("  Airflow's share, %", [run.share() for run in runs], unit="%"),
        _row("  Airflow's", [run.airflow() for run in runs]),
        _row("    of it in tasks that tell nothing", [run.silent() for run in runs]),
        _row("    of it between tasks", [run.between() for run in runs]),
        _row("  overhead of a task, median", [statistics.median(r.overheads()) for r in runs]),
        _row("  overhead of a task, greatest", [max(run.overheads()) for run in runs]),
        _row("a dbt node's task, mean", [statistics.mean(r.nodes()) for r in runs], NODE_AIM),
        _row("a dbt node's task, median", [statistics.median(run.nodes()) for run in runs]),
        _row("a dbt node's task, slowest", [max(run.nodes()) for run in runs]),
        _row("batch run without dbt nodes' tasks", [run.rest() for run in runs], REST_AIM),
    ]


def _minute(world: World, quotes: int) -> list[Row]:
    """Send quotes now and then, and wait for the build that shows them; gold is filled before."""
    world.api.switch(FILL, on=True)
    ended(world, FILL, _bars(), "success")
    world.api.switch(MINUTE, on=True)
    delays = []
    for number in range(quotes):
        delays.append(_followed(world, number))
        world.say(f"  quote {number + 1} of {quotes}: {delays[-1]:.1f} s")
    return [
        _row("landed to published", delays),
        _row(f"landed to published, p95 of {quotes}", [p95(delays)], PUBLISHED_AIM),
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


def _row(what: str, runs: list[float], aim: float | None = None, unit: str = "s") -> Row:
    rounded = [round(one, 2) for one in runs]
    median = round(statistics.median(runs), 2)
    return {
        **{"what": what, "unit": unit, "runs": rounded, "median": median},
        **{"aim": aim, "verdict": verdict(median, aim)},
    }


def _show(rows: list[Row], path: Path) -> None:
    table = Table("seconds", "median", "aim", "", "runs")
    for row in rows:
        aim = "" if row["aim"] is None else f"{row['aim']:g}"
        table.add_row(
            *(row["what"], str(row["median"]), aim, row["verdict"]),
            ", ".join(map(str, row["runs"])),
        )
    console = Console()
    console.print(table)
    console.print(f"written to {path}", highlight=False)


if __name__ == "__main__":
    app()
