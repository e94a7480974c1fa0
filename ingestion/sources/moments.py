"""The moments of a market, real or generated, beside what real data shows.

``python -m ingestion.sources.moments`` prints them for a generated market and simulated sessions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np

from ingestion import calendar
from ingestion.sources import tape
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.market import Market, made_up
from ingestion.sources.profile import Floats
from ingestion.sources.tape import Tape


@dataclass(frozen=True)
class Target:
    """What real data shows, and how far off a simulation may be (``low`` to ``high``)."""

    real: str
    low: float
    high: float


# 504 names, 1999 to 2021: the median over names of each.
DAILY: Final[Mapping[str, Target]] = {
    "sd": Target("0.022", 0.018, 0.026),
    "excess_kurtosis": Target("13", 8.0, 20.0),
    "skew": Target("-0.2", -0.5, 0.1),
    "autocorrelation_1": Target("-0.04", -0.07, -0.01),
    "abs_autocorrelation_1": Target("0.27", 0.21, 0.33),
    "abs_autocorrelation_20": Target("0.17", 0.11, 0.23),
    "abs_return_volume": Target("0.37", 0.30, 0.44),
    "pairwise_correlation": Target("0.42", 0.36, 0.48),
    "overnight_share": Target("0.36", 0.31, 0.41),
}
# Ticks of four names and an ETF of 2013: the median over sessions of each.
TICKS: Final[Mapping[str, Target]] = {
    "zero_change": Target("0.59 to 0.90", 0.59, 0.90),
    "bounce": Target("-0.45 to -0.34", -0.45, -0.34),
    "equal_rows": Target("0.11 to 0.25", 0.11, 0.25),
    "same_millisecond": Target("0.35 to 0.69", 0.35, 0.69),
}


def daily(bars: Iterable[DailyBar]) -> dict[str, float]:
    """Return the moments of daily bars: medians over symbols (of pairs: over pairs)."""
    found = [np.array(rows, dtype=np.float64) for rows in _by_symbol(bars).values()]
    each = [_daily_of(rows) for rows in found]
    medians = {name: float(np.median([one[name] for one in each])) for name in each[0]}
    together = np.corrcoef([np.diff(np.log(rows[:, 1])) for rows in found])
    pairs = together[np.triu_indices(len(found), 1)]
    return {**medians, "pairwise_correlation": float(np.median(pairs))}


def ticks(tapes: Iterable[Tape | None]) -> dict[str, float]:
    """Return the moments of sessions' trades: medians over those that were traded."""
    each = [_ticks_of(found) for found in tapes if found is not None]
    return {name: float(np.median([one[name] for one in each])) for name in each[0]}


def outside(found: Mapping[str, float], targets: Mapping[str, Target]) -> dict[str, float]:
    """Return the moments that are not within their bounds."""
    return {
        name: found[name]
        for name, target in targets.items()
        if not target.low <= found[name] <= target.high
    }


def table(found: Mapping[str, float], targets: Mapping[str, Target]) -> str:
    """Return the moments beside the real ones, a line each."""
    lines = [f"{'moment':<24} {'real':>16} {'simulated':>10}   bounds"]
    for name, target in targets.items():
        within = f"{target.low:g} to {target.high:g}"
        lines.append(f"{name:<24} {target.real:>16} {found[name]:>10.3f}   {within}")
    return "\n".join(lines)


def _by_symbol(bars: Iterable[DailyBar]) -> dict[str, list[tuple[int, int, int]]]:
    found: dict[str, list[tuple[int, int, int]]] = {}
    for bar in bars:
        found.setdefault(bar.symbol, []).append((bar.open, bar.close, bar.volume))
    return found


def _daily_of(rows: Floats) -> dict[str, float]:
    opens, closes, volume = rows.T
    returns = np.diff(np.log(closes))
    overnight = np.log(opens[1:] / closes[:-1])
    intraday = np.log(closes[1:] / opens[1:])
    centred = returns - returns.mean()
    size, variance = np.abs(returns), centred.var()
    parts = overnight.var(), intraday.var()
    return {
        "sd": float(np.sqrt(variance)),
        "excess_kurtosis": float((centred**4).mean() / variance**2 - 3),
        "skew": float((centred**3).mean() / variance**1.5),
        "autocorrelation_1": _lagged(returns, 1),
        "abs_autocorrelation_1": _lagged(size, 1),
        "abs_autocorrelation_20": _lagged(size, 20),
        "abs_return_volume": float(np.corrcoef(size, volume[1:])[0, 1]),
        "overnight_share": float(parts[0] / sum(parts)),
    }


def _ticks_of(found: Tape) -> dict[str, float]:
    changes = np.diff(found.price).astype(np.float64)
    rows = np.stack([found.at, found.price, found.size], axis=1)
    same = np.diff(found.at) == 0
    return {
        "zero_change": float(np.mean(changes == 0)),
        "bounce": _lagged(changes, 1),
        "equal_rows": 1 - len(np.unique(rows, axis=0)) / len(rows),
        "same_millisecond": float(np.mean(np.append(same, False) | np.insert(same, 0, False))),
    }


def _lagged(values: Floats, lag: int) -> float:
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def main() -> None:
    """Print both tables."""
    exchange = calendar.get()
    bars = [*Market(7, made_up(60), exchange).bars(date(1999, 1, 1), date(2021, 12, 31))]
    print(table(daily(bars), DAILY))  # noqa: T201 - what the command is for
    tapes = [tape.record(bar, 7, Decimal("0.04")) for bar in bars[:: len(bars) // 150]]
    print(table(ticks(tapes), TICKS))  # noqa: T201


if __name__ == "__main__":
    main()
