"""``python -m pipeline``: the main job, end to end."""

import signal
import sys
import traceback
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from ingestion.errors import TapehouseError
from pipeline.demo import Demo
from pipeline.screen import Screen

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)


@app.callback()
def main() -> None:
    """Run the stages of the main job in order."""


@app.command()
def demo(
    kill_lander: Annotated[
        bool,
        typer.Option(
            "--kill-lander", help="kill -9 the lander once while it holds unlanded records."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Send recorded bars and simulated trades through every stage, and show what came out."""
    signal.signal(signal.SIGTERM, _end)
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        Demo(Screen(console, Demo.n_stages()), kill_lander).run()
    except (TapehouseError, OSError) as error:  # a full disk is expected too
        if debug:
            traceback.print_exc()
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _end(number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does: the running stage ends too, and a stopped lander goes on."""
    sys.exit(128 + number)


if __name__ == "__main__":
    app(prog_name="python -m pipeline")
