"""Times the dbt project on real daily bars: a full build with all tests, then one more session.

The bars (1.74 M rows, 487 symbols, 1999 to 2015) are no part of the project. Each history is a
warehouse of its own, filled by the load's own writer; each build is the product's command, from its
start to its end. Polars computes the same columns, and every value is compared.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import typer
from rich.console import Console

from benchmarks.dbt import compare, data, project
from benchmarks.dbt.compare import Compared
from benchmarks.dbt.project import Built, Project
from benchmarks.land import report
from benchmarks.spark import contenders
from ingestion.clock import SystemClock, rfc3339
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, ProjectSettings
from pipeline.screen import Screen

DATA: Final = ROOT.parent / "shared" / "data" / "sp500_daily.parquet"
# The marts' own work: from daily bars to what Polars computes.
NODES: Final = (
    "silver_bar_actions",
    "silver_daily_returns",
    "silver_market_returns",
    "fct_adjustment_factor",
    "silver_comparable_bars",
    "silver_smoothed_bars",
    "gold_daily_metrics",
    "gold_technical_indicators",
)
_MEBI: Final = 2**20

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    bars: Annotated[Path, typer.Option(help="The file of daily bars.")] = DATA,
    years: Annotated[
        list[int] | None, typer.Option(help="Years of history; may be repeated.")
    ] = None,
    nodes: Annotated[int, typer.Option(help="How many of the slowest nodes to show.")] = 12,
) -> None:
    """Build each history, add a session, compare with Polars; print seconds and memory."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    if not bars.is_file():
        typer.echo(f"skipped: {bars} is not there", err=True)
        return
    commit = report.commit()
    rows: list[dict[str, Any]] = []
    try:
        for length in years or [5, 10, 17]:
            with tempfile.TemporaryDirectory(prefix="tapehouse-bench-dbt-") as folder:
                rows += _history(bars, length, Path(folder), nodes, console)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    path = ProjectSettings.load().state("bench", "dbt.json")
    report.write(rows, {"measured_at": rfc3339(SystemClock().now()), "commit": commit}, path)
    Screen(console, 0).table("dbt on real daily bars", [_shown(row) for row in rows])
    console.print(f"written to {path}", highlight=False)


def _history(
    bars: Path, years: int, home: Path, nodes: int, console: Console
) -> list[dict[str, Any]]:
    given = (
        f"select *, 'sp500' as source from read_parquet('{bars}') where session_date > "  # noqa: S608
        f"(select max(session_date) from read_parquet('{bars}')) - interval {years} years"
    )
    symbols, years = _extent(given)
    before, last = data.write(given, home / "lake")
    built = project.copy(home, symbols)
    data.load(built.warehouse, before)
    full = built.build()
    data.load(built.warehouse, last)
    more = built.build()
    for title, found in (("full build", full), ("one more session", more)):
        _show_nodes(f"{years} years, {title}: slowest nodes", found, nodes, console)
    return [
        _row(f"{years} years, full build", before.bars, full),
        _row(f"{years} years, one more session", last.bars, more)
        | {"share_of_full": round(more.seconds / full.seconds, 3)},
        _polars(years, home, built, full, console),
    ]


def _row(name: str, bars: int, built: Built) -> dict[str, Any]:
    return {
        "row": name,
        "unit": "s",
        "bars": bars,
        "seconds": round(built.seconds, 2),
        "cpu_s": round(built.cpu_s, 2),
        "peak_rss_mib": round(built.peak_rss / _MEBI),
        "build_s": built.report["seconds"]["build"],
        "publish_s": built.report["seconds"]["publish"],
        "models": built.report["models"],
        "tests": built.report["tests_passed"],
        "nodes_s": built.nodes,
    }


def _polars(
    years: int, home: Path, built: Project, full: Built, console: Console
) -> dict[str, Any]:
    """Compute the same columns, compare every value, and relate the times."""
    theirs = home / "polars.parquet"
    words = [str(home / "lake"), str(data.SESSIONS), str(theirs)]
    samples, [said] = contenders.watched("benchmarks.dbt.polars_job", words, home)
    gold = home / "state" / "gold" / "current"
    compared = compare.columns(gold.resolve(), theirs)
    _require_equal(compared)
    values = sum(found.values for found in compared)
    worst = max(found.worst for found in compared)
    console.print(
        f"{years} years: {values:,} values in {len(compared)} columns as Polars has them, worst "
        f"{worst:.1e} relative",
        highlight=False,
    )
    seconds = said["end"] - said["begin"]
    ours = sum(full.nodes[name] for name in NODES)
    return {
        "row": f"{years} years, the same columns in Polars",
        "unit": "s",
        "bars": said["rows"],
        "seconds": round(seconds, 2),
        "peak_rss_mib": round(max(sample.rss for sample in samples) / _MEBI),
        "dbt_nodes_s": round(ours, 2),
        "times_polars": round(ours / seconds, 2),
        "compared": [asdict(found) for found in compared],
    }


def _require_equal(compared: Sequence[Compared]) -> None:
    bad = [found for found in compared if found.nulls or not found.worst <= compare.TOLERANCE]
    if bad:
        raise TapehouseError(f"expected the values that Polars has, found others: {bad}")


def _extent(given: str) -> tuple[list[str], int]:
    """Return the symbols and the years, rounded, that there are."""
    with duckdb.connect() as db:
        [(symbols, days)] = db.execute(
            "select list(distinct symbol), max(session_date) - min(session_date) "  # noqa: S608
            f"from ({given})"
        ).fetchall()
    return symbols, round(days / 365.25)


def _show_nodes(title: str, built: Built, count: int, console: Console) -> None:
    slowest = sorted(built.nodes.items(), key=lambda node: -node[1])[:count]
    shown = [{"node": name, "s": f"{seconds:.2f}"} for name, seconds in slowest]
    shown.append({"node": f"all {len(built.nodes)}", "s": f"{sum(built.nodes.values()):.2f}"})
    Screen(console, 0).table(title, shown)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "row": "row", "bars": "bars", "seconds": "s", "share_of_full": "of full",
        "publish_s": "publish s", "peak_rss_mib": "max RSS MiB", "tests": "tests",
        "dbt_nodes_s": "dbt's nodes s", "times_polars": "times Polars",
    }  # fmt: skip
    return {title: row.get(name, "") for name, title in names.items()}


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.dbt")
