"""``python -m dashboards``: what the screens rest on."""

import sys
from typing import Annotated

import typer

from dashboards import contract as committed
from dashboards import generate
from ingestion.errors import TapehouseError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)


@app.callback()
def main() -> None:
    """Keep ``contract`` a command of its own: more come."""


@app.command()
def contract(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when the file would change.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write dashboards/contract.json from the contracts of dbt's gold models."""
    try:
        text = committed.dumps(generate.generate())
    except (TapehouseError, OSError) as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    path = committed.PATH
    if path.is_file() and path.read_text() == text:
        return
    typer.echo(f"{path.name}: {'out of date' if check else 'written'}")
    if check:
        sys.exit(1)
    path.write_text(text)


if __name__ == "__main__":
    app(prog_name="python -m dashboards")
