"""The command ``python -m ingestion contracts``."""

from pathlib import Path
from typing import Annotated

import typer

from ingestion.contracts import generate
from ingestion.errors import ContractError


def contracts(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a schema is out of date.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the schemas lie.")] = generate.FOLDER,
) -> None:
    """Write the JSON Schemas of the messages, generated from the records."""
    if not check:
        for path in generate.write(folder):
            typer.echo(path.name)
        return
    stale = generate.drifted(folder)
    if stale:
        raise ContractError(
            f"expected the schemas that the records give, found others: {', '.join(stale)}; "
            "run `python -m ingestion contracts`"
        )
    typer.echo(f"{len(generate.schemas())} schemas are up to date")
