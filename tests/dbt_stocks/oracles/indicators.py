"""Technical indicators by TA-Lib and numpy, for comparison with the published mart.

Imports nothing of the project. Bars are as traded; splits are the caller's. Everything is computed
in the shares of the first bar and brought back to those of each bar's day.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import talib

Values = np.ndarray[Any, np.dtype[np.float64]]
TOLERANCE = 1e-9
SMA = (5, 10, 15, 20, 30, 50, 200)
EMA = (12, 20, 26, 50, 200)
# TA-Lib begins MACD's fast average at bar 26, and not at 12: the difference has died out by then.
MACD_FROM = 300
# TA-Lib's deviation is the root of a difference of squares: noise where a price hardly moves.
MOVES = 1e-4


@dataclass
class Tally:
    """How many values of a metric were compared, the worst relative difference, and where."""

    values: int = 0
    worst: float = 0.0
    where: str = ""
    nulls: list[str] = field(default_factory=list)


class Oracle(NamedTuple):
    """Values for a column of the mart; ``is_whole`` where NaN says that there is no value."""

    metric: str
    column: str
    values: Values
    is_whole: bool = True


def compare(mart: pd.DataFrame, bars: pd.DataFrame, tallies: dict[str, Tally]) -> None:
    """Add to ``tallies`` how one instrument's rows of the mart compare with the oracles.

    ``mart`` and ``bars`` are of the same sessions in the same order; ``bars`` has open, high, low,
    close, volume and split_ratio (1 where there is none).
    """
    labels = [f"{row.symbol} {row.session_date}" for row in mart.itertuples()]
    sizes = _sizes(bars.close.to_numpy(float), mart.obv_shares.to_numpy(float))
    for oracle in oracles(bars):
        tally = tallies.setdefault(oracle.metric, Tally())
        found = mart[oracle.column].to_numpy(float)
        size = sizes.get(oracle.column, np.zeros_like(found))
        _add(tally, oracle, found, size, labels)


def oracles(bars: pd.DataFrame) -> Iterator[Oracle]:
    """Yield what each column of the mart should hold."""
    total = bars.split_ratio.cumprod().to_numpy(float)
    close, high, low = (bars[name].to_numpy(float) * total for name in ("close", "high", "low"))
    for n in SMA:
        yield Oracle(f"sma_{n}", f"sma_{n}", talib.SMA(close, n) / total)
    for n in EMA:
        yield Oracle(f"ema_{n}", f"ema_{n}", talib.EMA(close, n) / total)
    yield from _macd(close, total)
    yield Oracle("rsi_14", "rsi_14", _rsi(close))
    yield Oracle("atr_14", "atr_14", talib.ATR(high, low, close, 14) / total)
    shares = bars.volume.to_numpy(float) / total
    yield Oracle("obv_shares", "obv_shares", talib.OBV(close, shares) * total)
    yield from _bands(close, total)


def _macd(close: Values, total: Values) -> Iterator[Oracle]:
    line = talib.EMA(close, 12) - talib.EMA(close, 26)
    signal = np.full_like(line, np.nan)
    if len(line) > 33:
        signal[25:] = talib.EMA(line[25:], 9)
    names = ("macd_line", "macd_signal", "macd_histogram")
    for name, values in zip(names, (line, signal, line - signal), strict=True):
        yield Oracle(name, name, values / total)
    for name, values in zip(names, talib.MACD(close, 12, 26, 9), strict=True):
        values[:MACD_FROM] = np.nan
        yield Oracle(f"{name} (talib.MACD)", name, values / total, is_whole=False)


def _rsi(close: Values) -> Values:
    """TA-Lib says 0 where there is neither gain nor loss; that is no value."""
    moved = np.concatenate([[False], np.cumsum(np.abs(np.diff(close))) > 0])
    return np.where(moved, talib.RSI(close, 14), np.nan)


def _bands(close: Values, total: Values) -> Iterator[Oracle]:
    middle, spread = np.full_like(close, np.nan), np.full_like(close, np.nan)
    if len(close) >= 20:
        windows = np.lib.stride_tricks.sliding_window_view(close, 20)
        middle[19:], spread[19:] = windows.mean(axis=1), windows.std(axis=1, ddof=0)
    yield Oracle("bollinger_middle", "bollinger_middle", middle / total)
    yield Oracle("bollinger_upper", "bollinger_upper", (middle + 2 * spread) / total)
    yield Oracle("bollinger_lower", "bollinger_lower", (middle - 2 * spread) / total)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2, talib.MA_Type.SMA)
    moves = spread > MOVES * middle
    for name, band in (("bollinger_upper", upper), ("bollinger_lower", lower)):
        values = np.where(moves, band / total, np.nan)
        yield Oracle(f"{name} (talib.BBANDS)", name, values, is_whole=False)


def _sizes(price: Values, balance: Values) -> dict[str, Values]:
    """Return what a difference is related to where values cross zero: the size of the minuend."""
    largest = np.maximum.accumulate(np.abs(balance))
    return {
        "macd_line": price,
        "macd_signal": price,
        "macd_histogram": price,
        "obv_shares": largest,
    }


def _add(tally: Tally, oracle: Oracle, found: Values, size: Values, labels: list[str]) -> None:
    ours, theirs = ~np.isnan(found), ~np.isnan(oracle.values)
    if oracle.is_whole:
        tally.nulls += [labels[place] for place in np.flatnonzero(ours != theirs)[:1]]
    both = ours & theirs
    if not both.any():
        return
    size = np.maximum(np.maximum(np.abs(found), np.abs(oracle.values)), size)
    errors = np.abs(found - oracle.values)[both] / np.where(size > 0, size, 1)[both]
    tally.values += int(both.sum())
    if errors.max() >= tally.worst:
        tally.worst = float(errors.max())
        tally.where = labels[int(np.flatnonzero(both)[errors.argmax()])]
