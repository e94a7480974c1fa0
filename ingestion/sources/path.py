"""Trade prices between a bar's open and close that touch its high and low and never leave them."""

from typing import Final

import numpy as np

from ingestion.sources import profile
from ingestion.sources.daily_bar import CENT, DailyBar
from ingestion.sources.profile import Flags, Floats, Ints

# A standard Brownian bridge has an expected range of sqrt(pi / 2).
_BRIDGE_RANGE: Final = 1.2533
# Volatility clusters: its logarithm is an AR(1) by the minute.
_LOG_VOL_PERSISTENCE: Final = 0.97
_LOG_VOL_SD: Final = 0.08
# The quoted middle moves at one burst in five; between moves, trades bounce between bid and ask.
_QUOTE_MOVES: Final = 0.2
# One side is the busier one until the quote moves, when it may change; single trades hit the other.
_BUSY_SIDE_CHANGES: Final = 0.25
_OTHER_SIDE: Final = 0.15
# Half a spread, in standard deviations of the middle between two bursts; at least half a cent, at
# most a share of the price. It sets how negative the autocorrelation of price changes is.
_HALF_SPREAD: Final = 1.9
_MAX_HALF_SPREAD: Final = 0.0015


def prices(rng: np.random.Generator, bar: DailyBar, moment: Floats, burst: Ints) -> Ints:
    """Return each trade's price in millionths.

    Args:
        rng: the session's stream of random numbers.
        bar: what the trades have to honour.
        moment: of each burst, as a fraction of the session, in order.
        burst: number of each trade's burst; the first and the last trade stand alone.
    """
    middle, moves = _middle(rng, bar, moment)
    traded = _traded(rng, bar, middle, moves, burst)
    highest, lowest = _extremes(middle)
    traded[burst == highest], traded[burst == lowest] = bar.high, bar.low
    traded[0], traded[-1] = bar.open, bar.close
    return traded


def _middle(rng: np.random.Generator, bar: DailyBar, moment: Floats) -> tuple[Floats, Flags]:
    """Return the quoted middle at each burst, and at which it moves.

    It is a bridge from open to close within the bar.
    """
    clock = _variance_clock(rng, moment)
    steps = rng.standard_normal(len(moment)) * np.sqrt(np.diff(clock, prepend=0.0))
    walk = np.cumsum(steps)
    bridge = walk - clock * walk[-1]
    spread = (bar.high - bar.low) / _BRIDGE_RANGE
    path = bar.open + (bar.close - bar.open) * clock + bridge * spread
    moves = rng.random(len(moment)) < _QUOTE_MOVES
    moves[0] = moves[-1] = True
    held = np.maximum.accumulate(np.where(moves, np.arange(len(moment)), 0))
    return _fitted(path[held], bar), moves


def _variance_clock(rng: np.random.Generator, moment: Floats) -> Floats:
    """Return the share of the session's variance spent at each burst, from 0 to 1."""
    minutes = 390
    shocks = rng.standard_normal(minutes) * _LOG_VOL_SD
    decay = _LOG_VOL_PERSISTENCE ** np.arange(minutes)
    log_vol = decay * np.cumsum(shocks / decay)
    grid = (np.arange(minutes) + 0.5) / minutes
    variance = (profile.volatility(grid) * np.exp(log_vol)) ** 2
    spent = np.concatenate([[0.0], np.cumsum(variance)]) / variance.sum()
    clock = np.interp(moment, np.linspace(0, 1, minutes + 1), spent)
    return np.asarray((clock - clock[0]) / (clock[-1] - clock[0]), dtype=np.float64)


def _fitted(path: Floats, bar: DailyBar) -> Floats:
    """Map a path into ``[low, high]``, keeping what lies between open and close where it is.

    Excursions beyond the two are stretched or pressed to end at the extreme; where open or close is
    itself the extreme, there is no room beyond it and the excursion is folded back.
    """
    top, bottom = max(bar.open, bar.close), min(bar.open, bar.close)
    folded = path
    if bar.high == top:
        folded = top - np.abs(top - folded)
    if bar.low == bottom:
        folded = bottom + np.abs(folded - bottom)
    anchors = [min(folded.min(), bottom - 1.0), bottom, top, max(folded.max(), top + 1.0)]
    return np.interp(folded, anchors, [bar.low, bottom, top, bar.high])


def _extremes(middle: Floats) -> tuple[int, int]:
    """Return the bursts that touch high and low: two different ones between the auctions."""
    inner = middle[1:-1]
    highest, lowest = int(np.argmax(inner)), int(np.argmin(inner))
    if highest == lowest:
        lowest = (highest + 1) % len(inner)
    return highest + 1, lowest + 1


def _traded(
    rng: np.random.Generator, bar: DailyBar, middle: Floats, moves: Flags, burst: Ints
) -> Ints:
    """Return a price per trade at the bid or the ask, on whole cents inside the bar."""
    lowest, highest = -(-bar.low // CENT), bar.high // CENT
    if lowest > highest:
        return np.full(len(burst), bar.open, dtype=np.int64)
    turns = moves & (rng.random(len(middle)) < _BUSY_SIDE_CHANGES)
    busy = np.where(np.cumsum(turns) % 2, 1.0, -1.0)
    side = busy[burst] * np.where(rng.random(len(burst)) < _OTHER_SIDE, -1.0, 1.0)
    half = np.clip(
        _HALF_SPREAD * np.std(np.diff(middle)), CENT / 2, max(CENT / 2, _MAX_HALF_SPREAD * bar.open)
    )
    # The half cent puts a one-cent spread on the two cents around the middle.
    cents = np.floor((middle[burst] + side * half) / CENT + 0.5).astype(np.int64)
    inside: Ints = np.clip(cents, lowest, highest) * CENT
    return inside
