"""How far a run is, for a person who waits for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bar

from ingestion.clock import Clock
from ingestion.produce.run import Progress
from ingestion.produce.summary import Summary

Done = Callable[[], tuple[int, int]]

_REFRESH_S = 0.2
_LINE_EVERY_S = 10.0


@contextmanager
def shown(clock: Clock, console: Console, done: Done | None = None) -> Iterator[Progress]:
    """Give a callback that shows counts: live on a terminal, else one line every ten seconds.

    ``done`` tells how many of all symbols the source is done with, where that is known.
    """
    if console.is_terminal:
        with _bar(console, has_end=done is not None) as bar:
            task = bar.add_task("producing", counts="", total=None)

            def update(summary: Summary) -> None:
                completed, total = done() if done else (0, None)
                bar.update(task, counts=_counts(summary, done), completed=completed, total=total)

            yield _every(clock, _REFRESH_S, update)
    else:
        yield _every(clock, _LINE_EVERY_S, lambda s: typer.echo(_counts(s, done), err=True))


def _bar(console: Console, has_end: bool) -> Bar:
    columns: list[ProgressColumn] = [SpinnerColumn(), *([BarColumn()] if has_end else [])]
    columns += [TextColumn("{task.fields[counts]}"), TimeElapsedColumn()]
    return Bar(*columns, console=console, transient=True)


def _every(clock: Clock, seconds: float, show: Progress) -> Progress:
    due = clock.monotonic() + seconds

    def progress(summary: Summary) -> None:
        nonlocal due
        if clock.monotonic() >= due:
            due = clock.monotonic() + seconds
            show(summary)

    return progress


def _counts(summary: Summary, done: Done | None) -> str:
    symbols = "symbols {:,} of {:,}  ".format(*done()) if done else ""
    return (
        f"{symbols}sent {summary.sent.total():,}  delivered {summary.delivered.total():,}  "
        f"refused {summary.refused:,}"
    )
