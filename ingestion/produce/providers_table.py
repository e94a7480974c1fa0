"""What was asked of each provider and what it gave, as the table at a run's end."""

from collections.abc import Mapping
from typing import Final

from rich import box
from rich.table import Table

# As the guards call them, and as a person reads them.
_COLUMNS: Final = {
    "fetched": "fetched",
    "refused": "refused",
    "sent": "sent",
    "requests": "requests",
    "retried": "retried",
    "rate_limited": "limited",
    "failed": "failed",
    "not_sent": "not sent",
    "waited_s": "waited s",
}


def table(rows: Mapping[str, Mapping[str, object]]) -> Table:
    """Return the table: a row a provider; what has no budget (a stream) has no numbers of it."""
    made = Table(box=box.SIMPLE)
    made.add_column("provider")
    for title in _COLUMNS.values():
        made.add_column(title, justify="right")
    made.add_column("budget left", overflow="fold")
    for name, row in rows.items():
        numbers = (_text(row.get(column)) for column in _COLUMNS)
        made.add_row(name, *numbers, _left(row.get("left")))
    return made


def _text(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _left(left: object) -> str:
    if not isinstance(left, Mapping):
        return "-"
    return ", ".join(f"{count} of {limit}" for limit, count in left.items())
