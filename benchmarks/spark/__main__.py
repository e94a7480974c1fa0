"""Times compaction: bronze to the lake, against the same job in DuckDB and in Polars.

All read the same files and are interleaved run by run. A run counts only if it kept and refused
what was made, by reason. Then the stream, over a Kafka and a store.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from benchmarks.land import report
from benchmarks.land.measure import Run
from benchmarks.spark import contenders, data, history, stream
from benchmarks.spark.contenders import Steps
from ingestion.clock import SystemClock, rfc3339
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings
from pipeline.screen import Screen

SPARK: Final = "compact (Spark)"
OPTIMISED: Final = "compact (Spark, optimising compiler)"
ON_CLUSTER: Final = "compact (Spark on a cluster of two workers)"
DUCKDB: Final = "the same in DuckDB"
POLARS: Final = "the same in Polars"
OBJECTS: Final = 40
_MEBI: Final = 2**20

Measure = Callable[[], Run]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    trades: Annotated[int, typer.Option(min=10_000, help="Trades in bronze.")] = 3_000_000,
    runs: Annotated[int, typer.Option(min=1, help="How many runs of each row.")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="Only rows whose name contains this; may be repeated.")
    ] = None,
) -> None:
    """Measure compaction and print seconds, processor time and memory."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    commit = report.commit()
    try:
        found = _rows(trades, runs, lambda name: not only or any(p in name for p in only), console)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if not found:
        raise typer.BadParameter(f"no row is called like {only}")
    path = ProjectSettings.load().state("bench", "spark.json")
    facts = {"measured_at": rfc3339(SystemClock().now()), "commit": commit}
    report.write(found, facts, path)
    _show(found, console, path)


def _rows(
    trades: int, runs: int, wanted: Callable[[str], bool], console: Console
) -> list[dict[str, Any]]:
    found = []
    with contenders.scratch() as home:
        names = (SPARK, OPTIMISED, ON_CLUSTER, DUCKDB, POLARS)
        bulk = {name for name in names if wanted(name)}
        if bulk:
            bronze = home / "bronze"
            made = data.write(bronze, trades, OBJECTS)
            steps: dict[str, Steps] = {name: {} for name in names}
            measures = _contenders(bronze, made, steps)
            measures = {name: measure for name, measure in measures.items() if name in bulk}
            rows = _related(_interleaved(measures, runs, console), DUCKDB, "times_duckdb")
            found += [row | {"steps_s": _medians(steps[row["row"]])} for row in rows]
        if any(map(wanted, history.ROWS)):
            measured = history.measure(home, runs)
            for name, some in measured.items():
                console.print(
                    f"{name}: {[round(run.seconds, 2) for run in some]} s", highlight=False
                )
            found += _related(measured, history.EMPTY, "times_empty")
    return found + stream.rows(wanted, runs, console)


def _contenders(bronze: Path, made: data.Made, steps: Mapping[str, Steps]) -> dict[str, Measure]:
    optimised = steps[OPTIMISED], "-XX:TieredStopAtLevel=4"
    return {
        SPARK: partial(contenders.spark, bronze, made, steps[SPARK]),
        OPTIMISED: partial(contenders.spark, bronze, made, *optimised),
        ON_CLUSTER: partial(contenders.on_cluster, bronze, made, steps[ON_CLUSTER]),
        DUCKDB: partial(contenders.duckdb, bronze, made),
        POLARS: partial(contenders.polars, bronze, made),
    }


def _interleaved(
    measures: Mapping[str, Measure], runs: int, console: Console
) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {name: [] for name in measures}
    for number in range(1, runs + 1):
        for name, measure in measures.items():
            run = measure()
            found[name].append(run)
            said = f"{run.seconds:.1f} s, {run.cpu_s:.1f} s of CPU, {run.peak_rss / _MEBI:,.0f} MiB"
            console.print(f"run {number} of {runs}: {name}: {said}", highlight=False, markup=False)
    return found


def _related(measured: Mapping[str, Sequence[Run]], base: str, field: str) -> list[dict[str, Any]]:
    level = _median(measured[base], "seconds") if measured.get(base) else None
    rows = []
    for name, runs in measured.items():
        seconds = _median(runs, "seconds")
        rows.append(
            {
                "row": name,
                "unit": "s",
                "median": round(seconds, 2),
                "runs": [round(run.seconds, 2) for run in runs],
                "records": runs[0].records,
                "cpu_s": round(_median(runs, "cpu_s"), 2),
                "cpu_s_runs": [round(run.cpu_s, 2) for run in runs],
                "peak_rss_mib": round(max(run.peak_rss for run in runs) / _MEBI),
                "related_to": field.removeprefix("times_"),
                "times": level and round(seconds / level, 2),
            }
        )
    return rows


def _medians(steps: Steps) -> dict[str, float]:
    return {name: round(statistics.median(seconds), 2) for name, seconds in steps.items()}


def _median(runs: Sequence[Run], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def _show(found: Sequence[Mapping[str, Any]], console: Console, path: Path) -> None:
    shown = [
        {
            "row": row["row"],
            "s": row["median"],
            "CPU s": row["cpu_s"],
            "max RSS MiB": row["peak_rss_mib"],
            "times": f"{row['times']} x {row['related_to']}",
        }
        for row in found
        if not stream.is_mine(row)
    ]
    title = "Bronze to the lake: medians of the runs; memory is the highest of the runs"
    screen = Screen(console, 0)
    if shown:
        screen.table(title, shown)
    parts = [row for row in found if row.get("steps_s")]
    if parts:
        names = dict.fromkeys(name for row in parts for name in row["steps_s"])
        screen.table(
            "Where the seconds go: medians; the rest is listing bronze and preparing jobs",
            [{"step": n, **{row["row"]: row["steps_s"].get(n) for row in parts}} for n in names],
        )
    if mine := stream.shown([row for row in found if stream.is_mine(row)]):
        screen.table("Kafka to the lake's stream", mine)
    console.print(f"written to {path}", highlight=False)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.spark")
