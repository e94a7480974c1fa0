"""``python -m audit``: reconcile every stage, write the verdict, exit 0, 1 (gap) or 2 (unknown)."""

import traceback
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from audit.errors import AuditError
from audit.model import Verdict
from audit.report import render, write
from audit.run import STAGES, Audit, Options
from audit.settings import Settings

EXIT = {"ok": 0, "violated": 1, "unknown": 2, "behind": 3}

# The coloured traceback of an unexpected error prints local variables, secrets among them.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Stage(StrEnum):
    """What can be judged alone."""

    kafka = "kafka"
    bronze = "bronze"
    lake = "lake"
    warehouse = "warehouse"
    silver = "silver"
    gold = "gold"


@app.command()
def audit(
    stage: Annotated[
        list[Stage] | None, typer.Option(help="Judge only this stage; may be repeated.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read verified objects again.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every record's bytes with Kafka's.")
    ] = False,
    allow_behind: Annotated[
        bool, typer.Option("--allow-behind", help="Exit 0 where records are only on their way.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the verdict to this file too.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Count every stage from its own storage, from Kafka to published gold.

    Exits 0 when they agree, 1 when something is lost, doubled or altered, 2 when a stage could not
    be read, and 3 when nothing is lost but a stage has not come to the newest records yet. The
    verdict goes to var/audit/verdict.json.
    """
    settings = Settings.load()
    path = settings.state("audit", "verdict.json")
    path.unlink(missing_ok=True)  # a crash must not leave an earlier verdict standing
    options = Options([str(item) for item in stage or STAGES], full, deep)
    try:
        for warning in settings.check():
            _say(f"warning: {warning}")
        verdict = Audit(settings, options, _say).run()
    except Exception as error:
        # Python would exit with 1, which says that something was found.
        kind = "" if isinstance(error, AuditError) else f"{type(error).__name__}: "
        _say(f"error: {kind}{error}")
        if debug:
            traceback.print_exc()
        raise typer.Exit(EXIT["unknown"]) from error
    _publish(verdict, [path, *([report] if report else [])])
    is_excused = allow_behind and verdict.verdict == "behind"
    raise typer.Exit(0 if is_excused else EXIT[verdict.verdict])


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _publish(verdict: Verdict, paths: list[Path]) -> None:
    for path in paths:
        write(verdict, path)
    typer.echo(render(verdict))


if __name__ == "__main__":
    app()
