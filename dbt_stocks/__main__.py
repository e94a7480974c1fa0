"""``python -m dbt_stocks``: build, publish, export and take back gold, and write the seeds."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock
from ingestion.errors import BuildError, TapehouseError
from ingestion.settings import ProjectSettings, ServingSettings, WarehouseEngine, WarehouseSettings

if TYPE_CHECKING:
    from dbt_stocks import gate, place

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
Accept = Annotated[
    list[str] | None,
    typer.Option(help="A mart whose change against the published build is wanted; repeatable."),
]
Warehouse = Annotated[
    WarehouseEngine | None, typer.Option(help="Which; WAREHOUSE_ENGINE by default.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def build(
    build_id: BuildId = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="Build only this dbt selection; published when it leaves nothing else behind."
        ),
    ] = None,
    only_new: Annotated[
        bool,
        typer.Option("--only-new", help="Build only the tables that lack some of what is loaded."),
    ] = False,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Compute incremental models anew.")
    ] = False,
    now: Now = None,
    accept: Accept = None,
    warehouse: Warehouse = None,
    report_file: ReportFile = None,
    debug: Debug = False,
) -> None:
    """Build silver and the candidate, test the whole project, publish when every test passed."""
    from dbt_stocks import gate, place  # dbt takes two seconds to import, --help should not

    name, accepted = build_id or place.new_build_id(SystemClock()), tuple(accept or ())
    if only_new and (select or full_refresh):
        raise typer.BadParameter("expected no --select and no --full-refresh beside --only-new")
    request = gate.Request(
        name, select, only_new, full_refresh=full_refresh, now=now, accepted=accepted
    )
    _run(gate.build, request, warehouse, report_file, debug)


@app.command()
def publish(
    build_id: BuildId = None,
    accept: Accept = None,
    warehouse: Warehouse = None,
    to: Annotated[
        Literal["postgres"] | None,
        typer.Option(help="Test nothing; copy the published build to SERVING_POSTGRES_URL."),
    ] = None,
    older: Annotated[
        bool, typer.Option("--older", help="With --to: also in the place of a newer build.")
    ] = False,
    report_file: ReportFile = None,
    debug: Debug = False,
) -> None:
    """Test the whole project as it stands, publish the candidate when every test passed."""
    if to is not None:
        if build_id or accept or warehouse:
            raise typer.BadParameter(f"expected only --older and --report beside --to {to}")
        return _serve(older, report_file, debug)
    if older:
        raise typer.BadParameter("expected --to beside --older")
    from dbt_stocks import gate, place

    name, accepted = build_id or place.new_build_id(SystemClock()), tuple(accept or ())
    _run(gate.publish, gate.Request(name, accepted=accepted), warehouse, report_file, debug)


@app.command()
def rollback(
    to: Annotated[
        str | None, typer.Option(help="The build to show; the one before by default.")
    ] = None,
    why: Annotated[str, typer.Option(help="Noted in ops.builds with what is withdrawn.")] = "",
    warehouse: Warehouse = None,
    debug: Debug = False,
) -> None:
    """Show an earlier build again, at once for all readers; the next build goes on from it."""
    from dbt_stocks import gate, place

    with _errors(debug):
        here = place.Place.load(warehouse)
        before, now = gate.rollback(to, why or "no reason given", SystemClock(), _say, here)
    typer.echo(f"build {now} is shown, {before} is withdrawn")


@app.command()
def as_of(
    build_id: Annotated[
        str | None, typer.Option("--build", help="As this build published it.")
    ] = None,
    time: Annotated[
        datetime | None, typer.Option(help="What was known then (UTC), whenever it was loaded.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="A new folder; below the state's as-of by default.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Build gold as it stood in a folder of its own; the project's warehouse stays as it is."""
    from dbt_stocks import asof, gate, place

    if (build_id is None) == (time is None):
        raise typer.BadParameter("give one of --build and --time")
    name = build_id or place.new_build_id(SystemClock())
    folder = into or ProjectSettings.load().state("as-of", name)
    report = gate.Report(name)
    with _errors(debug):
        _require_duckdb("as-of copies the raw rows of a past moment into a DuckDB file")
        if time is not None:
            gold = asof.of_moment(time, folder, report, SystemClock(), _say)
        else:
            gold = asof.of_build(name, folder, report, SystemClock(), _say)
    _show(report)
    typer.echo(f"published in {gold}")


@app.command()
def export(
    to: Annotated[
        Path | None, typer.Option(help="The folder of builds; the state's export by default.")
    ] = None,
    report_file: ReportFile = None,
    debug: Debug = False,
) -> None:
    """Write the marts of the published build as Parquet files, for whoever reads no DuckDB."""
    from dbt_stocks import export as files

    folder = to or ProjectSettings.load().state("export")
    with _errors(debug):
        _require_duckdb("export writes the published DuckDB file's marts")
        found = files.export(WarehouseSettings.load().published(), folder, _say)
    if report_file is not None:
        write_report(report_file, asdict(found))
    typer.echo(
        f"build {found.build_id}: {len(found.rows)} marts, {sum(found.rows.values())} rows, "
        f"{found.bytes / 2**20:.1f} MiB in {found.folder}"
    )


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
    command: "Callable[[gate.Request, gate.Report, Clock, place.Say, place.Place], None]",
    request: "gate.Request",
    warehouse: WarehouseEngine | None,
    report_file: Path | None,
    debug: bool,
) -> None:
    from dbt_stocks import gate, place

    report = gate.Report(request.build_id)
    try:
        with _errors(debug):
            command(request, report, SystemClock(), _say, place.Place.load(warehouse))
    finally:
        if report_file is not None:
            report_file.parent.mkdir(parents=True, exist_ok=True)
            report_file.write_text(json.dumps(asdict(report), indent=2, default=str) + "\n")
    _show(report)


def _serve(older: bool, report_file: Path | None, debug: bool) -> None:
    from dbt_stocks import serving

    with _errors(debug):
        _require_duckdb("publish --to postgres copies the published DuckDB file's marts")
        settings = ServingSettings.load()
        rules = serving.Rules(older, _is_withdrawn, settings.readers_wait_s)
        published = WarehouseSettings.load().published()
        served = serving.serve(published, settings.url(), _say, rules)
    if report_file is not None:
        write_report(report_file, asdict(served))
    what = f"copied, {served.before or 'nothing'} before" if served.copied else "was there"
    typer.echo(
        f"PostgreSQL has build {served.build_id} ({what}): {len(served.rows)} marts, "
        f"{sum(served.rows.values())} rows, {served.seconds:.1f} s"
    )


def _is_withdrawn(build_id: str) -> bool:
    """Tell whether the warehouse's books say that a rollback has passed over a build."""
    from dbt_stocks import gate, place

    if not WarehouseSettings.load().file().is_file():
        return False  # published files alone were brought here
    return gate.is_withdrawn(build_id, _say, place.Place.load("duckdb"))


@contextmanager
def _errors(debug: bool) -> Iterator[None]:
    """End the command with one line and exit code 1 on an error that is expected."""
    try:
        yield
    except (TapehouseError, OSError) as error:  # a full disk is expected too
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def _require_duckdb(why: str) -> None:
    """Refuse a command that Snowflake has no counterpart of.

    Raises:
        BuildError: the project's warehouse is another.
    """
    engine = WarehouseSettings.load().engine
    if engine != "duckdb":
        raise BuildError(f"{why}: expected WAREHOUSE_ENGINE=duckdb, found {engine}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


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
