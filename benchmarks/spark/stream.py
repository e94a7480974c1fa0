"""The rows of the stream: how fast it reads a backlog, and how soon a trade is seen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console

from benchmarks.spark import backlog, seen

_SHOWN: Final = {
    "row": "row",
    "median": "records/s",
    "cpu_us_per_record": "CPU µs/record",
    "peak_rss_mib": "max RSS MiB",
    "p50": "p50 s",
    "p95": "p95 s",
    "longest": "longest s",
}


def rows(wanted: Callable[[str], bool], runs: int, console: Console) -> list[dict[str, Any]]:
    """Measure the rows that are wanted.

    Raises:
        TapehouseError: the stream failed, or did something else than it was to do.
    """
    found = []
    if wanted(backlog.ROW):
        found.append(backlog.row(backlog.measured(backlog.RECORDS, runs, console)))
    if wanted(seen.ROW):
        found += [seen.row(trigger, waits) for trigger, waits in seen.measured(console)]
    return found


def is_mine(row: Mapping[str, Any]) -> bool:
    """Tell the stream's rows from others."""
    return str(row["row"]).startswith((backlog.ROW, seen.ROW))


def shown(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    return [{title: row.get(name) for name, title in _SHOWN.items()} for row in found]
