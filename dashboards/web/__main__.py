"""``python -m dashboards.web``: the market page, of published gold."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final, Literal

import typer
import uvicorn
from starlette.types import ASGIApp

from dashboards.web.feed import Feed
from dashboards.web.gold import Gold
from dashboards.web.health import HealthReader
from dashboards.web.server import create_server
from dbt_stocks.mirror import MirroredGold, Source
from dbt_stocks.mirror_postgres import PostgresGold
from dbt_stocks.mirror_snowflake import SnowflakeSource
from dbt_stocks.reader import GoldReader
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError
from ingestion.settings import (
    KafkaSettings,
    ProjectSettings,
    ServingSettings,
    SnowflakeSettings,
    WarehouseSettings,
)

Engine = Literal["duckdb", "snowflake", "postgres"]
# Below the state folder: copies of what other engines publish.
_COPIES: Final = "screens"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page.")] = 8050,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 shows it to the network.")] = (
        "127.0.0.1"
    ),
    gold: Annotated[
        Engine | None,
        typer.Option(
            help="Where published gold is read; WAREHOUSE_ENGINE by default. postgres: "
            "SERVING_READER_URL, into which `python -m dbt_stocks publish --to postgres` copies."
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Serve the market page until Ctrl-C; it follows every build that is published."""
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        serve(host, port, gold or WarehouseSettings.load().engine)
    except TapehouseError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


def serve(host: str, port: int, engine: Engine) -> None:
    """Serve the page of this project's gold.

    Raises:
        TapehouseError: gold of Snowflake or PostgreSQL cannot be read.
    """
    with opened(engine) as gold:
        typer.echo(f"The market page: http://{host}:{port}")
        # Open WebSockets never end by themselves.
        uvicorn.run(
            site(gold), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3
        )


@contextmanager
def opened(engine: Engine) -> Iterator[Gold]:
    """Read published gold of an engine, and follow it.

    Raises:
        TapehouseError: it cannot be read; of files that is told by the page.
    """
    if engine == "duckdb":
        with GoldReader(WarehouseSettings.load().published()) as gold:
            yield gold
        return
    source: Source = (
        SnowflakeSource(SnowflakeSettings.load())
        if engine == "snowflake"
        else PostgresGold(ServingSettings.load().url_of_readers())
    )
    copy = MirroredGold(source, ProjectSettings.load().state(_COPIES))
    try:
        copy.start()
        yield copy
    finally:
        copy.close()


def site(gold: Gold) -> ASGIApp:
    """Return the page of published gold, this project's verdict and its Kafka."""
    clock, exchange, kafka = SystemClock(), calendar.get(), KafkaSettings.load()
    verdict = ProjectSettings.load().state("audit", "verdict.json")
    health = HealthReader(gold, verdict, kafka, exchange)
    return create_server(gold, health, Feed(kafka, exchange, clock), exchange, clock)


if __name__ == "__main__":
    app(prog_name="python -m dashboards.web")
