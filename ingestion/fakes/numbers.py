"""Prices as the providers write them: JSON numbers, float32 widened to float64, decimal text."""

from decimal import Decimal
from typing import Final

import numpy as np

from ingestion.fakes.columns import FIELDS, Columns
from ingestion.sources.daily_bar import UNIT
from ingestion.sources.profile import Floats

_MILLION: Final = float(UNIT)
_FOUR = Decimal("0.0001")


def number(millionths: int) -> float:
    """Return a price as the nearest float: what a decimal price is in JSON."""
    return float(Decimal(millionths) / UNIT)


def widened(values: Floats) -> list[float]:
    """Return values as float32 widened to float64, as Yahoo sends prices: 34.099998474121094."""
    found: list[float] = values.astype(np.float32).astype(np.float64).tolist()
    return found


def text(millionths: int) -> str:
    """Return a price with four decimals, as Alpha Vantage writes it."""
    return f"{(Decimal(millionths) / UNIT).quantize(_FOUR):f}"


def percent(change: int, base: int) -> Decimal:
    """Return ``change`` in percent of ``base``, with four decimals."""
    return (Decimal(100) * change / base).quantize(_FOUR)


def split_adjusted(bars: Columns) -> dict[str, Floats]:
    """Return the four prices on the last bar's basis, in currency units."""
    factor = bars.split_factor() * _MILLION
    return {field: getattr(bars, field) / factor for field in FIELDS}
