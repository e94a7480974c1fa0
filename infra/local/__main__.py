"""The local stack: Kafka, the object store and the lander as supervised processes."""

import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from infra.local import airflow as orchestrator
from infra.local import superset as dashboards
from infra.local.layout import Layout
from infra.local.services import (
    AIRFLOW,
    CLUSTER,
    KNOWN,
    METRICS,
    SERVICES,
    SUPERSET,
    ServiceName,
)
from infra.local.stack import Stack
from infra.local.status import ServiceStatus, StackStatus, look
from infra.prometheus import configuration
from infra.setup import prometheus as tools
from infra.setup.console import Console, SetupError
from ingestion.errors import StackError, TapehouseError
from ingestion.land.table import console, show
from ingestion.settings import PrometheusSettings

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)

ReportFile = Annotated[Path | None, typer.Option("--report", help="Write a JSON summary here.")]


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Hold what every command understands."""
    context.obj = debug
    _Debug.on = debug


class _Debug:
    """Whether an expected error shows its traceback; set once, from the command line."""

    on = False


@app.command()
def up(
    service: Annotated[
        list[str] | None,
        typer.Argument(help=f"Which of {', '.join(SERVICES)}; all by default."),
    ] = None,
) -> None:
    """Start the stack and create topics, users, buckets and policies; harmless when it runs."""
    stack = Stack(Layout.load(), report=typer.echo)
    stack.up(_services(service, SERVICES) or SERVICES)
    layout = stack.layout
    typer.echo(f"Kafka {layout.kafka.servers()}, store {layout.store.url()}, logs {layout.log}")


@app.command()
def provision() -> None:
    """Create topics, users, buckets and policies on a Kafka and a store that run already."""
    stack = Stack(Layout.load(), report=typer.echo)
    stack.provision()


@app.command()
def down() -> None:
    """Stop every process of the stack; data stays."""
    Stack(Layout.load(), report=typer.echo).down()
    typer.echo("stack is down")


class Change(StrEnum):
    """What can be done to what is started on request."""

    START = "start"
    STOP = "stop"


@app.command()
def cluster(change: Annotated[Change, typer.Argument()] = Change.START) -> None:
    """Start a Spark cluster beside the stack, one master and two workers, or stop it."""
    stack = Stack(Layout.load(), report=typer.echo)
    if change is Change.STOP:
        stack.stop(CLUSTER)
        typer.echo("the Spark cluster is down")
        return
    stack.up(CLUSTER)
    typer.echo(f"jobs run on it with --master spark://127.0.0.1:{stack.layout.lake.cluster_port}")


@app.command()
def airflow(change: Annotated[Change, typer.Argument()] = Change.START) -> None:
    """Start Airflow beside the stack, or stop it; its runs stay."""
    stack = Stack(Layout.load(), report=typer.echo)
    if change is Change.STOP:
        stack.stop(AIRFLOW)
        typer.echo("Airflow is down")
        return
    stack.up(AIRFLOW)
    user, file = orchestrator.USER, stack.layout.env_file
    typer.echo(f"{orchestrator.url(stack.layout)}, user {user}, AIRFLOW_ADMIN_PASSWORD in {file}")


class Assets(StrEnum):
    """What can be done with Superset and the files of its dashboards."""

    START = "start"
    STOP = "stop"
    SETUP = "setup"
    IMPORT = "import"
    EXPORT = "export"


@app.command(name="superset")
def superset_(change: Annotated[Assets, typer.Argument()] = Assets.START) -> None:
    """Start Superset with the dashboards of dashboards/superset, or stop it.

    `setup` only installs it; `import` and `export` bring the files into a Superset that was started
    once, and what was changed there into the files.
    """
    stack = Stack(Layout.load(), report=typer.echo)
    if change is Assets.STOP:
        stack.stop(SUPERSET)
        typer.echo("Superset is down")
        return
    dashboards.ensure_installed()
    if change is Assets.SETUP:
        return
    if change is not Assets.START:
        typer.echo(dashboards.run(stack.layout, change.value))
        return
    stack.up(SUPERSET)
    user, file = dashboards.USER, stack.layout.env_file
    typer.echo(f"{dashboards.url(stack.layout)}, user {user}, SUPERSET_ADMIN_PASSWORD in {file}")


@app.command()
def prometheus(change: Annotated[Change, typer.Argument()] = Change.START) -> None:
    """Start Prometheus and its exporter beside the stack, or stop them; what was scraped stays."""
    stack = Stack(Layout.load(), report=typer.echo)
    if change is Change.STOP:
        stack.stop(METRICS)
        typer.echo("Prometheus is down")
        return
    tools.ensure("prometheus", Console(total=1), stack.layout.log / "setup-prometheus.log")
    stack.up(METRICS)
    settings = PrometheusSettings.load()
    typer.echo(f"http://127.0.0.1:{settings.port}, scrapes {_scraped()}")


def _scraped() -> str:
    found = configuration.local()
    without = [f"{name} (no {variable})" for name, variable in _PORTS.items() if name not in found]
    return ", ".join(found) + (f"; not {', '.join(without)}" if without else "")


_PORTS = {
    "landers": "LAND_METRICS_PORT",
    "producers": "PRODUCE_METRICS_PORT",
    "stream": "LAKE_STREAM_METRICS_PORT",
}


@app.command(name="airflow-prepare")
def airflow_prepare() -> None:
    """Write Airflow's configuration, migrate its database, build dbt's manifest; start nothing."""
    Stack(Layout.load(), report=typer.echo).prepare_airflow()


@app.command(name="airflow-health")
def airflow_health(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(AIRFLOW)}.")],
) -> None:
    """Exit 1 where a service of Airflow does not work, whoever runs it."""
    if service not in AIRFLOW:
        raise StackError(f"no service {service}; there are {', '.join(AIRFLOW)}")
    orchestrator.probe(Layout.load(), service)


@app.command()
def status(
    service: Annotated[
        list[str] | None,
        typer.Argument(help=f"Which of {', '.join(KNOWN)}; by default the stack, and what runs."),
    ] = None,
    report: ReportFile = None,
) -> None:
    """Show processes, health and memory, and what landers do; exit 1 where one is unhealthy."""
    found = look(Layout.load(), _services(service, KNOWN))
    _show(found)
    if report:
        report.write_text(json.dumps(asdict(found), indent=1) + "\n")
    if not found.is_healthy:
        raise typer.Exit(1)


@app.command()
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop the stack and delete its state: topics, objects, lake, warehouse, logs; .env stays."""
    stack = Stack(Layout.load(), report=typer.echo)
    if not yes:
        typer.confirm(f"Delete everything in {stack.layout.state}?", abort=True)
    stack.reset()
    typer.echo(f"deleted {stack.layout.state}")


def _services(names: list[str] | None, known: Sequence[ServiceName]) -> list[ServiceName]:
    unknown = set(names or ()) - set(known)
    if unknown:
        there_are = ", ".join(known)
        raise StackError(f"no service {', '.join(sorted(unknown))}; there are {there_are}")
    return [name for name in known if name in (names or ())]


def _show(found: StackStatus) -> None:
    table = Table("service", "process", "port", "health", "uptime", "memory")
    for one in found.services:
        table.add_row(
            one.name,
            str(one.pid or "-"),
            ", ".join(map(str, one.ports)) or "-",
            _short(one),
            f"{one.uptime_s // 60} min {one.uptime_s % 60} s" if one.pid else "-",
            f"{one.memory_bytes / 2**20:,.0f} MiB" if one.pid else "-",
        )
    out = console()
    out.print(table)
    for one in found.services:
        if _short(one) != one.health:
            typer.echo(f"{one.name}: {one.health}")
    if found.landers:
        show(found.landers, out)


def _short(one: ServiceStatus) -> str:
    """Return a service's health for a narrow column; a whole sentence is told below the table."""
    return one.health if one.health.isalpha() else "unhealthy"


def main() -> None:
    """Run the command line; an expected error is one line and exit code 1."""
    try:
        app()
    except (TapehouseError, SetupError, OSError) as error:  # a full disk is expected too
        if _Debug.on:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
