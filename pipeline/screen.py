"""What the run shows: one line a stage, then tables."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NAME_WIDTH = 16


class Screen:
    """Writes progress; on a terminal the running stage counts its seconds."""

    def __init__(self, console: Console, n_stages: int) -> None:
        self.console = console
        self.n_stages = n_stages
        self._done = 0
        self._status = console.status("")

    def running(self, name: str, seconds: float) -> None:
        """Show that a stage is running."""
        self._status.update(f"\\[{self._done + 1}/{self.n_stages}] {name} … {seconds:.0f} s")
        self._status.start()

    def finished(self, name: str, seconds: float, says: str) -> None:
        """Write a stage's line."""
        self._status.stop()
        self._done += 1
        count = f"{self._done}/{self.n_stages}"
        self.console.print(
            f"[{count:>5}] {name:<{NAME_WIDTH}} {seconds:6.1f} s  {says}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def stop(self) -> None:
        """Take the running line away."""
        self._status.stop()

    def line(self, text: str = "") -> None:
        """Write a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows as a table, as they are; the first row's keys are its columns."""
        self.console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD)
        for name in rows[0] if rows else ():
            numeric = all(_is_number(row[name]) for row in rows)
            table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row.values()))  # no markup
        self.console.print(table)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - whatever a query returns
    return value is None or (
        isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    )


def _cell(value: Any) -> str:  # noqa: ANN401 - whatever a query returns
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
