"""What every command has in common: where a part's command is found, and how an error is told."""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ingestion import logs
from ingestion.errors import TapehouseError

DEBUG = "--debug"
# Commands that live in another command's part.
PARTS = {
    "budget": "limits",
    "drain": "land",
    "status": "land",
    "doctor": "land.doctor",
    "redrive": "produce.redrive",
}


def run(name: str, arguments: Sequence[str], program: str) -> None:
    """Import a part's command and run it; an expected error is one line, and exit code 1.

    ``ingestion/<name>/command.py`` has a typer application ``app``, or a function ``<name>``. It is
    imported only here: a part that is broken does not keep another one from working.
    """
    debug = DEBUG in arguments
    own = [argument for argument in arguments if argument != DEBUG]
    logs.configure(debug)
    try:
        _application(name)(args=own, prog_name=f"{program} {name}")
    except (TapehouseError, OSError) as error:  # a full disk is expected too
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {one_line(str(error))}", err=True)
        sys.exit(1)


def one_line(text: str) -> str:
    """Return ``text`` on one line, without control characters: it may quote what was received."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a machine-readable summary; a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(report, indent=2) + "\n")
    draft.replace(path)


def _application(name: str) -> typer.Typer:
    module = importlib.import_module(f"ingestion.{PARTS.get(name, name)}.command")
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name)(getattr(module, name))
    # The coloured traceback of an unexpected error prints local variables, secrets among them.
    app.pretty_exceptions_enable = False
    return app
