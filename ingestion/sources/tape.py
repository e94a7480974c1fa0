"""All trades of one symbol in one session, drawn so that together they are the session's real bar.

First trade = open, last = close, extremes = high and low, sizes add up to a given number of
shares, every trade inside ``[open_at, close_at)``. Everything is drawn from one stream of random
numbers that depends on nothing but (seed, symbol, session): the same bytes in whatever order
sessions are made.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import numpy as np

from ingestion.sources import profile
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.path import prices
from ingestion.sources.profile import Floats, Ints
from ingestion.sources.streams import stream

# A name that trades little still gets about so many trades a session.
MIN_TRADES: Final = 500
# Fewer shares than this cannot carry auctions, extremes and something between.
MIN_SHARES: Final = 100
MILLISECOND: Final = 1_000
_SECOND: Final = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Tape:
    """Trades in order; the first is the opening auction, the last the closing one.

    ``at`` and ``fetched_at`` are microseconds since 1970, ``price`` is in millionths of the
    currency, ``size`` in shares.
    """

    bar: DailyBar
    at: Ints
    fetched_at: Ints
    price: Ints
    size: Ints

    def __len__(self) -> int:
        return len(self.at)


def shares(volume: int, fraction: Decimal) -> int:
    """Return how many shares a simulated session trades.

    It is the stated fraction of the real volume, rounded down, or as many as ``MIN_TRADES`` small
    trades need, but never more than the real volume.
    """
    return max(int(volume * fraction), min(volume, MIN_TRADES * 10))


def record(bar: DailyBar, seed: int, fraction: Decimal) -> Tape | None:
    """Draw a session's trades; None where the bar's volume is too small to be split up."""
    total = shares(bar.volume, fraction)
    if total < MIN_SHARES:
        return None
    names = bar.symbol, bar.session.session_date.isoformat()
    rng = stream(seed, *names)
    size = _sizes(rng, total)
    size[1:-1] = profile.in_runs(stream(seed, *names, "runs"), size[1:-1])
    burst = _bursts(rng, len(size))
    moments = _moments(rng, int(burst[-1]) + 1, bar)
    start, end = microseconds(bar.session.open_at), microseconds(bar.session.close_at)
    price = prices(rng, bar, (moments - start) / (end - start), burst)
    at = moments[burst]
    return Tape(bar, at, at + _latency(rng, len(moments))[burst], price, size)


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds


def _sizes(rng: np.random.Generator, total: int) -> Ints:
    """Draw sizes that add up to ``total``; their number follows. The last one is the largest."""
    opening = max(1, round(total * profile.OPENING_SHARE))
    closing = max(1, round(total * profile.CLOSING_SHARE))
    rest = total - opening - closing
    scale = min(1.0, rest / (MIN_TRADES * profile.MEAN_SIZE))
    chunk = int(rest / (profile.MEAN_SIZE * scale)) + MIN_TRADES
    drawn = np.empty(0, dtype=np.int64)
    while drawn.sum() < rest:
        scaled = np.maximum(1, (profile.sizes(rng, chunk) * scale).astype(np.int64))
        drawn = np.concatenate([drawn, np.minimum(scaled, max(1, closing // 4))])
    cumulative = np.cumsum(drawn)
    last = int(np.searchsorted(cumulative, rest))
    drawn[last] -= cumulative[last] - rest
    return np.concatenate([[opening], drawn[: last + 1], [closing]])


def _bursts(rng: np.random.Generator, count: int) -> Ints:
    """Return the number of each trade's burst: trades of one burst share a millisecond."""
    starts = rng.random(count) < profile.NEW_BURST
    starts[0] = False
    # The auctions stand alone, and one trade between them is free to touch each extreme.
    starts[[1, 2, -1]] = True
    return np.cumsum(starts)


def _moments(rng: np.random.Generator, count: int, bar: DailyBar) -> Ints:
    """Return the microsecond of each burst, in order, on whole milliseconds."""
    start, end = microseconds(bar.session.open_at), microseconds(bar.session.close_at)
    quantiles = profile.activity_quantile(np.sort(rng.random(count - 2)))
    continuous = start + _SECOND + quantiles * (end - start - 2 * _SECOND)
    auctions = rng.random(2)
    opening = start + auctions[0] * _SECOND
    closing = end - MILLISECOND - auctions[1] * 0.5 * _SECOND
    moments = np.concatenate([[opening], continuous, [closing]])
    return moments.astype(np.int64) // MILLISECOND * MILLISECOND


def _latency(rng: np.random.Generator, count: int) -> Ints:
    """Draw how long after the trade we have it: 20 ms and an exponential tail, in microseconds."""
    drawn: Floats = 20_000 - 30_000 * np.log1p(-rng.random(count))
    return drawn.astype(np.int64)
