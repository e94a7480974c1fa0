"""The landers' overview for people."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from ingestion.cli import one_line
from ingestion.land.chain import Phase
from ingestion.land.overview import LanderState, Overview, Row

_TEXTS: Final = ("lander", "partition", "state")
_FIGURES: Final = (
    "landed",
    "log end",
    "lag",
    "received/s",
    "landed/s",
    "buffered",
    "bytes",
    "oldest",
)
_FILE_WIDTH: Final = 160  # a file or a pipe has none; the table must not be cut there


def console() -> Console:
    """Return where tables are printed: as wide as the terminal, wide enough elsewhere."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


def show(overview: Overview, out: Console) -> None:
    """Print the table, and below it what is wrong."""
    out.print(_table(overview))
    for line in _lines(overview):
        out.print(one_line(line), markup=False, soft_wrap=True)


def _table(overview: Overview) -> Table:
    table = Table()
    for name in (*_TEXTS, *_FIGURES):
        table.add_column(name, justify="left" if name in _TEXTS else "right", no_wrap=True)
    landers = {lander.name: lander for lander in overview.landers}
    for row in overview.partitions:
        table.add_row(*_cells(row, landers.get(row.lander or "")))
    totals = overview.totals
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        "",
        "",
        _number(totals.lag),
        _number(totals.received_per_s),
        _number(totals.landed_per_s),
        _number(totals.buffered_records),
        _size(totals.buffered_bytes),
        _age(totals.oldest_unlanded_s),
    )
    return table


def _cells(row: Row, lander: LanderState | None) -> tuple[str, ...]:
    return (
        row.lander or "-",
        str(row.place),
        _state(row, lander),
        _number(row.landed),
        _number(row.log_end),
        _number(row.lag),
        _number(row.received_per_s),
        _number(row.landed_per_s),
        _number(row.buffered_records),
        _size(row.buffered_bytes),
        _age(row.oldest_unlanded_s),
    )


def _state(row: Row, lander: LanderState | None) -> str:
    if lander is None or row.phase == Phase.STALLED:
        return row.phase
    if lander.is_silent:
        return "silent"
    if row.error:
        return "failing"
    return "paused" if lander.paused else row.phase


def _lines(overview: Overview) -> Iterator[str]:
    for name, held in overview.dead.items():
        yield f"lander {name} died; {held} records that it held are read again"
    yield from overview.problems
    for row in overview.partitions:
        if row.error:
            yield f"{row.lander}: {row.place}: {row.error}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _size(value: int) -> str:
    return f"{value / 2**20:,.1f} MiB"


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s"
