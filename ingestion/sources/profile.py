"""How a session's activity, volatility and trade sizes are distributed: figures from real data.

Volume shares are those of 17 single names of 2024 in 30-minute buckets of regular hours; volatility
is the standard deviation of one-minute returns of a broad ETF in the same buckets. A shorter
session uses the same shapes over its own length.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

# The opening auction is part of the first measured bucket (0.099), the closing one of the last
# (0.260); without them these are the shares of continuous trading.
OPENING_SHARE: Final = 0.02
CLOSING_SHARE: Final = 0.16
_CONTINUOUS = np.array(
    [0.079, 0.082, 0.071, 0.067, 0.063, 0.049, 0.045, 0.047, 0.045, 0.049, 0.055, 0.068, 0.100]
)
_VOLATILITY = np.array([4.1, 3.6, 3.4, 3.3, 3.1, 2.5, 2.2, 2.7, 2.4, 3.4, 2.5, 2.6, 3.6])

# Probability that a trade starts a new millisecond: the rest follow within a burst, which makes
# 62 % of the trades share theirs (35 to 69 % do in real ticks).
NEW_BURST: Final = 0.62

# Equal sizes come together, as when one order takes several: of so many trades in a row.
RUN: Final = 40

ODD_LOT_SHARE: Final = 0.40
_LOT = 100
_MAX_LOTS = 200
_ZIPF = np.cumsum(np.arange(1, _MAX_LOTS + 1, dtype=float) ** -2.2)
_ZIPF_CDF = _ZIPF / _ZIPF[-1]
MEAN_SIZE: Final = float(
    ODD_LOT_SHARE * _LOT / 2
    + (1 - ODD_LOT_SHARE)
    * _LOT
    * np.sum(np.arange(1, _MAX_LOTS + 1) ** -1.2)
    / np.sum(np.arange(1, _MAX_LOTS + 1) ** -2.2)
)


def activity_quantile(share: Floats) -> Floats:
    """Return the moment, as a fraction of the session, before which ``share`` of trading lies."""
    cumulative = np.concatenate([[0.0], np.cumsum(_CONTINUOUS)]) / np.sum(_CONTINUOUS)
    return np.asarray(np.interp(share, cumulative, np.linspace(0, 1, len(cumulative))))


def volatility(moment: Floats) -> Floats:
    """Return the relative volatility at moments given as fractions of the session."""
    centres = (np.arange(len(_VOLATILITY)) + 0.5) / len(_VOLATILITY)
    return np.asarray(np.interp(moment, centres, _VOLATILITY / np.mean(_VOLATILITY)))


def sizes(rng: np.random.Generator, count: int) -> Ints:
    """Draw trade sizes in shares: odd lots, else a hundred times a truncated Zipf(2.2)."""
    odd = 1 + np.floor(rng.random(count) * (_LOT - 1)).astype(np.int64)
    lots = 1 + np.searchsorted(_ZIPF_CDF, rng.random(count), side="right")
    return np.where(rng.random(count) < ODD_LOT_SHARE, odd, _LOT * np.minimum(lots, _MAX_LOTS))


def in_runs(rng: np.random.Generator, drawn: Ints) -> Ints:
    """Return the same sizes, equal ones next to each other within each `RUN` of trades."""
    # A random rank for each size: runs of equal ones, in no order of size.
    rank = rng.permutation(int(drawn.max(initial=0)) + 1)
    whole = len(drawn) // RUN * RUN
    rows = drawn[:whole].reshape(-1, RUN)
    order = np.argsort(rank[rows], axis=1, kind="stable")
    return np.concatenate([np.take_along_axis(rows, order, axis=1).ravel(), drawn[whole:]])
