"""``python -m drill``: prove landing by making everything around it fail."""

import typer

from drill.simulation.command import simulate

app = typer.Typer(add_completion=False, no_args_is_help=True)
app.command()(simulate)


@app.callback()
def drill() -> None:
    """Make everything around the landers fail, and judge what they did."""


if __name__ == "__main__":
    app()
