"""Times the market page: 10,000 candles beside plain Plotly, and 20 users during publishes."""

import statistics
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.stack import machine
from benchmarks.web import paint, screens
from benchmarks.web.site import Copies, served
from dashboards.web.pictures import browser
from ingestion.cli import write_report
from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings, WarehouseSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Row = dict[str, Any]


@app.command()
def main(
    runs: Annotated[int, typer.Option(min=1, help="How many first paints of each.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long the users read.")] = 30.0,
) -> None:
    """Time first paints in turn, then 20 users of published gold during publishes."""
    path = ProjectSettings.load().state("bench", "web.json")
    try:
        rows = _rows(WarehouseSettings.load().published(), runs, seconds)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    write_report(path, {"machine": machine(), "rows": rows})
    _show(rows, path)
    if any(row.get("failed") or row.get("of_two_builds") for row in rows):
        raise typer.Exit(1)


def _rows(published: Path, runs: int, seconds: float) -> list[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder,
        browser() as chromium,
    ):
        copies = Copies(published, Path(folder))
        with served(copies) as url:
            paints = paint.rows(chromium, url, runs)
            return paints + screens.rows(chromium, url, copies, seconds, publishes=runs)


def _show(rows: list[Row], path: Path) -> None:
    table = Table("what", "median", "all runs", "aim")
    for row in rows:
        aim = row.get("aim", "")
        if "seconds" in row:
            runs = ", ".join(f"{one:.2f}" for one in row["seconds"])
            table.add_row(row["what"], f"{statistics.median(row['seconds']):.2f} s", runs, aim)
        elif "ratio" in row:
            table.add_row(row["what"], f"{row['ratio']:.1f}", "", aim)
        else:
            known = (
                f"{row['screens']:,} screens, {row['builds_seen']} builds, p95 {row['p95_s']:.2f} s"
            )
            told = f"{row['failed']} failed, {row['of_two_builds']} of two builds"
            table.add_row(row["what"], f"{row['median_s']:.2f} s", known, told)
    console = Console()
    console.print(table)
    for row in rows:
        for error in row.get("errors", []):
            console.print(error)
    console.print(str(path))


if __name__ == "__main__":
    app()
