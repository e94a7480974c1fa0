"""The option ``--generated``: bars of a market that never was, in place of recorded ones."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated

import typer

from ingestion.calendar import Calendar
from ingestion.errors import SettingsError
from ingestion.instruments.reader import canonical
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.market import Market, made_up

Generated = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        help="Instead of recorded bars, those of so many generated symbols (SIM0001 and on, those "
        "of --symbol first); needs --end, and --start or --last-sessions. Their bars are sent too.",
    ),
]


def generated_bars(
    count: int,
    symbols: Sequence[str],
    bounds: tuple[date | None, date | None, int | None],
    seed: int,
    exchange: Calendar,
) -> Iterator[DailyBar]:
    """Return the bars of ``count`` symbols; ``bounds`` are first and last day, and last sessions.

    Raises:
        SettingsError: the bounds leave the range open, or no session in it, or there are more
            symbols than are to be generated.
        InstrumentsError: one of them is no symbol.
    """
    named = tuple(dict.fromkeys(map(canonical, symbols)))
    if len(named) > count:
        raise SettingsError(f"--generated {count}: expected as many as there are --symbol")
    start, end, last = bounds
    if end is None or (start is None and last is None):
        raise SettingsError(
            "--generated: expected --end, and --start or --last-sessions: a generated market has "
            "no first or last day of its own"
        )
    sessions = exchange.sessions(start, end)[-last if last else 0 :]
    if not sessions:
        raise SettingsError(f"--generated: no session from {start} to {end}")
    market = Market(seed, made_up(count, named), exchange)
    return market.bars(sessions[0].session_date, end)
