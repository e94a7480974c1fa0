"""``python -m dbt_stocks``: build and publish gold, and write the seeds."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingestion.clock import Clock, SystemClock
from ingestion.errors import TapehouseError

if TYPE_CHECKING:
    from dbt_stocks import gate

# The coloured traceback of an unexpected error prints local variables, secrets among them.
app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

BuildId = Annotated[
    str | None, typer.Option(help="Name of the build; a time and a random part by default.")
]
Now = Annotated[
    str | None,
    typer.Option(help="The build's now (UTC, such as 2013-03-01T21:15:00); the latest fetch seen."),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", help="Also write the counts to this file as JSON.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def build(
    build_id: BuildId = None,
    select: Annotated[
        str | None, typer.Option(help="Build only this dbt selection; all tests run nevertheless.")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Compute incremental models anew.")
    ] = False,
    now: Now = None,
    report_file: ReportFile = None,
    debug: Debug = False,
) -> None:
    """Build silver and the candidate, test the whole project, publish when every test passed."""
    from dbt_stocks import gate  # dbt takes two seconds to import, --help should not

    request = gate.Request(build_id or gate.new_build_id(SystemClock()), select, full_refresh, now)
    _run(gate.build, request, report_file, debug)


@app.command()
def publish(
    build_id: BuildId = None,
    now: Now = None,
    report_file: ReportFile = None,
    debug: Debug = False,
) -> None:
    """Test the whole project as it stands, publish the candidate when every test passed."""
    from dbt_stocks import gate

    request = gate.Request(build_id or gate.new_build_id(SystemClock()), now=now)
    _run(gate.publish, request, report_file, debug)


@app.command()
def seeds(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail when a file would change.")
    ] = False,
) -> None:
    """Write the seeds: sessions from the exchange calendar, instruments from ingestion's list."""
    from dbt_stocks import seeds as source

    stale = {path: text for path, text in source.generate().items() if _differs(path, text)}
    for path, text in stale.items():
        typer.echo(f"{path.name}: {'out of date' if check else 'written'}")
        if not check:
            path.write_text(text)
    if stale and check:
        raise typer.Exit(1)


def _run(
    command: "Callable[[gate.Request, gate.Report, Clock, Callable[[str], None]], None]",
    request: "gate.Request",
    report_file: Path | None,
    debug: bool,
) -> None:
    from dbt_stocks import gate

    report = gate.Report(request.build_id)
    try:
        command(request, report, SystemClock(), lambda line: typer.echo(line, err=True))
    except (TapehouseError, OSError) as error:  # a full disk is expected too
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    finally:
        if report_file is not None:
            report_file.parent.mkdir(parents=True, exist_ok=True)
            report_file.write_text(json.dumps(asdict(report), indent=2, default=str) + "\n")
    _show(report)


def _show(report: "gate.Report") -> None:
    typer.echo(
        f"build {report.build_id} published: {report.models} models, "
        f"{report.tests_passed} tests passed, {report.tests_warned} warned, as of {report.as_of}, "
        f"{sum(report.seconds.values()):.1f} s"
    )
    for mart, rows in report.rows.items():
        typer.echo(f"  {mart:<28} {rows:>9} rows")


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text() != text


if __name__ == "__main__":
    app(prog_name="python -m dbt_stocks")
