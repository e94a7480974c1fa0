"""``python -m dashboards.web``: the market page, of published gold."""

import sys
from typing import Annotated

import typer
import uvicorn

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
    clock, exchange, kafka = SystemClock(), calendar.get(), KafkaSettings.load()
    gold = GoldReader(WarehouseSettings.load().published())
    verdict = ProjectSettings.load().state("audit", "verdict.json")
    server = create_server(
        gold, HealthReader(gold, verdict, kafka), Feed(kafka, exchange, clock), exchange, clock
    )
    typer.echo(f"The market page: http://{host}:{port}")
    # Open WebSockets never end by themselves.
    uvicorn.run(server, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    app(prog_name="python -m dashboards.web")
