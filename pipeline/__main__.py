"""``python -m pipeline``: the main job, end to end."""

import signal
import sys
import traceback
from enum import StrEnum
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


class Providers(StrEnum):
    """Whom the demo's records are asked of."""

    LOCAL = "local"


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
    providers: Annotated[
        Providers | None,
        typer.Option(help="Ask providers on this machine in place of sending recorded bars."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error.")] = False,
) -> None:
    """Send recorded bars and simulated trades through every stage, and show what came out.

    With --providers local what is sent is what the adapters of Yahoo, Finnhub and Alpha Vantage get
    from servers that speak like them, run here for as long as that takes.
    """
    signal.signal(signal.SIGTERM, _end)
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        is_local = providers is Providers.LOCAL
        Demo(Screen(console, Demo.n_stages(is_local)), kill_lander, is_local).run()
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
