"""``python -m dashboards.web``: the market page, of published gold."""

import sys
from typing import Annotated

import typer
import uvicorn
from starlette.types import ASGIApp

from dashboards.web.feed import Feed
from dashboards.web.health import HealthReader
from dashboards.web.server import create_server
from dbt_stocks.reader import GoldReader
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError
from ingestion.settings import KafkaSettings, ProjectSettings, WarehouseSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page.")] = 8050,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 shows it to the network.")] = (
        "127.0.0.1"
    ),
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Serve the market page until Ctrl-C; it follows every build that is published."""
    try:
        serve(host, port)
    except TapehouseError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def serve(host: str, port: int) -> None:
    """Serve the page of this project's gold."""
    typer.echo(f"The market page: http://{host}:{port}")
    # Open WebSockets never end by themselves.
    uvicorn.run(site(), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)


def site() -> ASGIApp:
    """Return the page of this project's gold, verdict and Kafka."""
    clock, exchange, kafka = SystemClock(), calendar.get(), KafkaSettings.load()
    gold = GoldReader(WarehouseSettings.load().published())
    verdict = ProjectSettings.load().state("audit", "verdict.json")
    health = HealthReader(gold, verdict, kafka)
    return create_server(gold, health, Feed(kafka, exchange, clock), exchange, clock)


if __name__ == "__main__":
    app(prog_name="python -m dashboards.web")
