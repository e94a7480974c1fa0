"""The rows of a chart: float32 prices on the last bar's basis, null where none is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ingestion.fakes.market import SECOND, Minutes, View
from ingestion.fakes.numbers import split_adjusted, widened
from ingestion.sources.daily_bar import UNIT

QUOTED: Final = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Rows:
    """Rows of a chart: epoch seconds, and a value or None in each column."""

    at: list[int]
    columns: Mapping[str, list[float | int | None]]
    adjusted: list[float | None] | None

    def chosen(self, start: int, end: int) -> "Rows":
        """Return the rows with ``start <= at < end``."""
        keep = [number for number, at in enumerate(self.at) if start <= at < end]
        return Rows(
            [self.at[number] for number in keep],
            {name: [column[number] for number in keep] for name, column in self.columns.items()},
            None if self.adjusted is None else [self.adjusted[number] for number in keep],
        )


def daily_rows(view: View) -> Rows:
    """Return a symbol's daily rows; while a session is under way, its last one comes twice.

    The first is stamped with the open, the second, live one with the last trade, as the provider
    does at times: a client has to keep only one of them.
    """
    bars = view.bars
    prices = {name: widened(values) for name, values in split_adjusted(bars).items()}
    adjusted = widened(split_adjusted(bars)["close"] * bars.dividend_factor("close_before"))
    volume = (bars.volume * bars.split_factor()).round().astype(np.int64).tolist()
    at = [int(session.open_at.timestamp()) for session in bars.sessions]
    rows = Rows(
        at,
        {
            **{name: _nulls(values, bars.null_price.tolist()) for name, values in prices.items()},
            "volume": _nulls(volume, bars.null_volume.tolist()),
        },
        _nulls(adjusted, bars.null_price.tolist()),
    )
    return rows if view.forming is None else _with_live_row(rows, view.forming.last_at // SECOND)


def _with_live_row(rows: Rows, at: int) -> Rows:
    again = {name: [*column, column[-1]] for name, column in rows.columns.items()}
    adjusted = rows.adjusted or [None]
    return Rows([*rows.at, at], again, [*adjusted, adjusted[-1]])


def _nulls(values: list[Any], null: list[bool]) -> list[Any]:
    return [None if gone else value for value, gone in zip(values, null, strict=True)]


def minute_rows(made: list[tuple[Minutes, float]]) -> Rows:
    """Return bars within sessions as rows; each comes with its session's split factor."""
    unit = float(UNIT)
    columns: dict[str, list[float | int | None]] = {}
    for name in QUOTED:
        values = [
            None if (value := getattr(bar, name)) is None else value / factor / unit
            for bar, factor in made
        ]
        columns[name] = [None if v is None else float(np.float32(v)) for v in values]
    columns["volume"] = [
        None if bar.open is None else round(bar.volume * factor) for bar, factor in made
    ]
    return Rows([bar.start for bar, _ in made], columns, None)
