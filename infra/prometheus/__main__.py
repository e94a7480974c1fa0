"""Metrics, alert rules and the dashboard, from a shell."""

import sys
import threading
import traceback
from pathlib import Path
from typing import Annotated

import typer

from infra.prometheus import configuration
from infra.prometheus.exporter.scrape import Exporter
from infra.prometheus.exporter.sources import sources
from ingestion import endpoint, logs
from ingestion.clock import SystemClock
from ingestion.errors import StackError, TapehouseError
from ingestion.settings import PrometheusSettings

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail where it would change.")]


class _Debug:
    """Whether an expected error shows its traceback; set once, from the command line."""

    on = False


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Hold what every command understands."""
    _Debug.on = debug


@app.command()
def exporter() -> None:
    """Serve the metrics of what has no endpoint of its own, until it is ended."""
    settings = PrometheusSettings.load()
    logs.configure(_Debug.on)
    clock = SystemClock()
    collector = Exporter(sources(clock), clock, settings.exporter_timeout_s)
    where = settings.exporter_address, settings.exporter_port
    endpoint.serve(*where, collector, "PROMETHEUS_EXPORTER_PORT, PROMETHEUS_EXPORTER_ADDRESS")
    logs.get("exporter").info("serving", address=where[0], port=where[1])
    threading.Event().wait()


@app.command(name="configuration")
def write_configuration(check: Check = False) -> None:
    """Write prometheus.yml of the containers' stack."""
    _write(configuration.FILE, configuration.render(configuration.CONTAINERS), check)


@app.command()
def dashboard(check: Check = False) -> None:
    """Write Grafana's dashboard."""
    # Its builders are development's: the exporter's image has none of them.
    from infra.prometheus.grafana.dashboard import FILE, render

    _write(FILE, render(), check)


def _write(path: Path, text: str, check: bool) -> None:
    if not check:
        path.write_text(text)
        typer.echo(path)
    elif not path.is_file() or path.read_text() != text:
        raise StackError(f"{path} is not what it is generated from: run this without --check")


def main() -> None:
    """Run the command line; an expected error is one line and exit code 1."""
    try:
        app()
    except (TapehouseError, OSError) as error:
        if _Debug.on:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
