"""How far a run is, for a person who waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from ingestion.clock import Clock
from ingestion.produce.run import Progress
from ingestion.produce.summary import Summary

_REFRESH_S = 0.2
_LINE_EVERY_S = 10.0


@contextmanager
def shown(clock: Clock, console: Console) -> Iterator[Progress]:
    """Give a callback that shows counts: live on a terminal, else one line every ten seconds."""
    if console.is_terminal:
        with _bar(console) as bar:
            task = bar.add_task("producing", counts="")
            yield _every(clock, _REFRESH_S, lambda s: bar.update(task, counts=_counts(s)))
    else:
        yield _every(clock, _LINE_EVERY_S, lambda s: typer.echo(_counts(s), err=True))


def _bar(console: Console) -> Bar:
    columns = SpinnerColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn()
    return Bar(*columns, console=console, transient=True)


def _every(clock: Clock, seconds: float, show: Progress) -> Progress:
    due = clock.monotonic() + seconds

    def progress(summary: Summary) -> None:
        nonlocal due
        if clock.monotonic() >= due:
            due = clock.monotonic() + seconds
            show(summary)

    return progress


def _counts(summary: Summary) -> str:
    return (
        f"sent {summary.sent.total():,}  delivered {summary.delivered.total():,}  "
        f"refused {summary.refused:,}"
    )
