"""Daily bars of a market that never was: any number of symbols, any range of sessions, seeded.

A symbol's return is a share of the market's and one of its own, each with a volatility that
clusters (its logarithm is an AR(1)) and Student-t shocks, parted into a gap overnight and a move
within the session; now and then there is a jump. Volume follows volatility and the size of the
move. The parameters were fitted so that a generated market has the moments of real daily returns
(``moments.py``). Its path begins with the calendar's first session, whatever range is asked for:
a bar depends on (seed, symbol, session) alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Final

import numpy as np

from ingestion.calendar import Calendar, Session
from ingestion.sources.daily_bar import CENT, DailyBar
from ingestion.sources.profile import Floats, Ints
from ingestion.sources.streams import stream

# No symbol is written so.
_MARKET: Final = "(market)"
# Share of the variance that comes from the market, and that comes overnight.
_MARKET_SHARE: Final = 0.56
_OVERNIGHT_SHARE: Final = 0.3
# Log-volatility: how much of it is left after a session, its standard deviation, and how much of a
# symbol's is the market's.
_PERSISTENCE: Final = 0.98
_LOG_VOL_SD: Final = 0.62
_COMMON_VOL: Final = 0.72
_DEGREES: Final = 5
# E|z| of such a shock: 2 sqrt(v - 2) Gamma((v + 1) / 2) / (sqrt(pi) (v - 1) Gamma(v / 2)), v = 5.
_MEAN_SIZE: Final = 0.7351
# Falls are larger than rises, by this factor each way.
_ASYMMETRY: Final = 0.055
# A symbol's own jumps: a few a year (results, news), in its daily standard deviations.
_JUMPS_PER_SESSION: Final = 0.01
_JUMP_SD: Final = 5.0
# A part of each move is taken back in the next session.
_REVERSAL: Final = 0.04
# Log-prices drift back to their start, by this share a session: three decades stay plausible.
_PULL: Final = 0.001
_DAILY_SD: Final = 0.0132
_DAILY_SD_SPREAD: Final = 0.25
_BETA_SPREAD: Final = 0.25
_MEDIAN_PRICE: Final = 60.0
_MEDIAN_VOLUME: Final = 3e6
_VOLUME_NOISE: Final = 0.4
_VOLUME_OF_VOL: Final = 0.08
_VOLUME_OF_MOVE: Final = 0.1
_LARGEST_MOVE: Final = 6.0
_LOWEST_CENTS: Final = 100
_LEAST_VOLUME: Final = 20_000


@dataclass(frozen=True)
class Market:
    """Symbols of one seed on one calendar."""

    seed: int
    symbols: Sequence[str]
    calendar: Calendar

    def bars(self, start: date | None = None, end: date | None = None) -> Iterator[DailyBar]:
        """Return the bars of all symbols with ``start <= session <= end``, by symbol and day."""
        sessions = self.calendar.sessions(end=end)
        common = _Factor.of(_Draw(self.seed, _MARKET), len(sessions))
        for symbol in self.symbols:
            yield from _bars(self.seed, symbol, sessions, common, start)


def made_up(count: int, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Return ``count`` symbols: those given, then ones that no exchange lists."""
    names = [*dict.fromkeys(given), *(f"SIM{number:04d}" for number in range(1, count + 1))]
    return tuple(names[:count])


@dataclass(frozen=True)
class _Factor:
    """What moves prices, session by session: log-volatility, and unit shocks by part of the day."""

    log_vol: Floats
    overnight: Floats
    intraday: Floats

    @classmethod
    def of(cls, draw: "_Draw", count: int) -> "_Factor":
        shocks = draw("vol").standard_normal(count) * np.sqrt(1 - _PERSISTENCE**2)
        log_vol = np.array(list(accumulate(shocks, lambda before, x: _PERSISTENCE * before + x)))
        return cls(log_vol, _shocks(draw("overnight"), count), _shocks(draw("intraday"), count))


class _Draw:
    """The streams of one symbol: each is drawn in order, so a longer range only adds to it."""

    def __init__(self, seed: int, name: str) -> None:
        self._seed = seed
        self._name = name

    def __call__(self, what: str) -> np.random.Generator:
        return stream(self._seed, self._name, "daily", what)


def _shocks(rng: np.random.Generator, count: int) -> Floats:
    """Draw Student-t shocks of unit variance and mean zero, a little larger downwards."""
    # A chi-square of whole degrees as a sum of squares: a fixed number of draws for each shock.
    normal = rng.standard_normal((count, _DEGREES + 1))
    chi_square = np.square(normal[:, 1:]).sum(axis=1)
    drawn = normal[:, 0] * np.sqrt((_DEGREES - 2) / chi_square)
    tilted = np.where(drawn < 0, 1 + _ASYMMETRY, 1 - _ASYMMETRY) * drawn
    return np.asarray(tilted + _ASYMMETRY * _MEAN_SIZE)


@dataclass(frozen=True)
class _Moves:
    """A symbol's log moves by session, its volatility, and how busy it is (1 on average)."""

    overnight: Floats
    intraday: Floats
    sd: Floats
    volume: Floats


def _moves(draw: _Draw, common: _Factor) -> _Moves:
    count = len(common.log_vol)
    own, traits = _Factor.of(draw, count), draw("traits").standard_normal(4)
    daily_sd = _DAILY_SD * np.exp(_DAILY_SD_SPREAD * traits[0])
    market = np.sqrt(_MARKET_SHARE) * np.exp(_BETA_SPREAD * traits[1])
    log_vol = _COMMON_VOL * common.log_vol + np.sqrt(1 - _COMMON_VOL**2) * own.log_vol
    sd = daily_sd * np.exp(_LOG_VOL_SD * log_vol)
    parts = [
        sd * (market * theirs + np.sqrt(1 - _MARKET_SHARE) * mine)
        for theirs, mine in ((common.overnight, own.overnight), (common.intraday, own.intraday))
    ]
    overnight = np.sqrt(_OVERNIGHT_SHARE) * parts[0] + _jumps(draw, daily_sd, count)
    intraday = np.sqrt(1 - _OVERNIGHT_SHARE) * parts[1]
    size = np.abs(overnight + intraday) / daily_sd
    noise = _VOLUME_NOISE * draw("volume").standard_normal(count)
    level = _VOLUME_OF_VOL * log_vol + _VOLUME_OF_MOVE * np.minimum(size, _LARGEST_MOVE) + noise
    busy = np.exp(level + traits[2])
    return _Moves(overnight, intraday, sd * np.sqrt(1 - _OVERNIGHT_SHARE), busy)


def _jumps(draw: _Draw, daily_sd: float, count: int) -> Floats:
    rng = draw("jumps")
    drawn = rng.random((count, 2))
    sizes = draw("jump sizes").standard_normal(count) * _JUMP_SD * daily_sd
    return np.where(drawn[:, 0] < _JUMPS_PER_SESSION, sizes, 0.0)


def _bars(
    seed: int, symbol: str, sessions: Sequence[Session], common: _Factor, start: date | None
) -> Iterator[DailyBar]:
    draw = _Draw(seed, symbol)
    moves = _moves(draw, common)
    first_price = _MEDIAN_PRICE * float(np.exp(0.5 * draw("price").standard_normal()))
    prices = _prices(draw, moves, first_price)
    volume = np.maximum(_LEAST_VOLUME, _MEDIAN_VOLUME * moves.volume).astype(np.int64).tolist()
    for number, session in enumerate(sessions):
        if start is None or session.session_date >= start:
            opened, high, low, close = prices[number].tolist()
            before = int(prices[number - 1, 3]) if number else None
            yield DailyBar(symbol, session, opened, high, low, close, volume[number], before)


def _prices(draw: _Draw, moves: _Moves, first: float) -> Ints:
    """Return open, high, low and close by session, in millionths, on whole cents.

    The extremes are those of a Brownian path between open and close, each with its exact
    distribution: the maximum of a bridge from 0 to r with variance v is
    (r + sqrt(r^2 - 2 v ln U)) / 2, U uniform.
    """
    total = moves.overnight + moves.intraday
    closes = _levels(total) + np.log(first)
    opens = closes - moves.intraday
    uniform = 1 - draw("range").random((len(total), 2))
    spread = np.sqrt(
        np.square(moves.intraday)[:, None] - 2 * np.square(moves.sd)[:, None] * np.log(uniform)
    )
    above, below = (moves.intraday + spread[:, 0]) / 2, (moves.intraday - spread[:, 1]) / 2
    logs = np.stack([opens, opens + above, opens + below, closes], axis=1)
    cents: Ints = np.maximum(_LOWEST_CENTS, np.rint(100 * np.exp(logs))).astype(np.int64)
    return np.multiply(cents, CENT)


def _levels(moves: Floats) -> Floats:
    """Add moves up, with a part of each taken back and a pull to the start."""
    reverting = moves - _REVERSAL * np.concatenate([[0.0], moves[:-1]])
    return np.array(list(accumulate(reverting, lambda level, move: (1 - _PULL) * level + move)))
