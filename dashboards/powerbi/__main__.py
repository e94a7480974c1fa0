"""``python -m dashboards.powerbi``: the project's files, generated and checked."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dashboards import contract
from dashboards.powerbi import check, project
from dashboards.powerbi.preview import NO_GOLD, read_candles, render_png
from ingestion.errors import TapehouseError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def generate(
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a file would change.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write dashboards/powerbi/project from gold's contract; fails where a check finds a fault."""
    _run(lambda: _generate(check_only), debug)


@app.command()
def preview(
    symbol: Annotated[str, typer.Argument(help="As gold_candlestick has it.")],
    picture: Annotated[Path, typer.Argument(help="The PNG to write.")],
    gold: Annotated[Path, typer.Option(help="A published file of gold.")] = NO_GOLD,
    debug: Debug = False,
) -> None:
    """Draw the page's candles of a symbol without Power BI, by the same specification."""
    _run(lambda: render_png(read_candles(gold, symbol), picture), debug)


def _generate(check_only: bool) -> None:
    gold = contract.load()
    wanted = project.files(gold)
    touched = project.outdated(wanted) if check_only else project.write(wanted)
    for path in touched:
        typer.echo(f"{path}: {'out of date' if check_only else 'written'}")
    found = check.findings(project.FOLDER, gold)
    for finding in found:
        typer.echo(str(finding), err=True)
    if found or (check_only and touched):
        sys.exit(1)


def _run(action: Callable[[], None], debug: bool) -> None:
    try:
        action()
    except (TapehouseError, OSError) as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    app(prog_name="python -m dashboards.powerbi")
