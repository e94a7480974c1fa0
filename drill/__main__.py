"""``python -m drill``: prove landing and sources by making everything around them fail."""

import sys

import typer

from drill.airflow import command as airflow
from drill.hour import command as hour
from drill.lake import command as lake
from drill.matrix.command import run
from drill.matrix.lander import lander
from drill.matrix.load import load
from drill.publish import command as publish
from drill.simulation.command import simulate
from drill.snowflake import command as snowflake
from drill.stream import command as stream
from drill.superset import command as superset
from ingestion import cli
from ingestion.errors import TapehouseError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(simulate)
app.command()(run)
app.command("airflow")(airflow.play)
app.command("hour")(hour.play)
app.command("lake")(lake.play)
app.command("stream")(stream.play)
app.command("publish")(publish.play)
app.command("snowflake")(snowflake.play)
app.command("superset")(superset.play)
app.command(hidden=True)(lander)
app.command(hidden=True)(load)


@app.callback()
def drill() -> None:
    """Make everything around landers and producers fail, and judge what they did."""


def main() -> None:
    """Run the command line; an expected error is one line and exit code 1."""
    try:
        app()
    except (TapehouseError, OSError) as error:
        typer.echo(f"error: {cli.one_line(str(error))}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
