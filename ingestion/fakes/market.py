"""What the market that is served has shown up to a moment: bars, forming bars, trades, quotes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from ingestion.calendar import Calendar, Session
from ingestion.fakes.columns import Columns, columns, with_last
from ingestion.fakes.restated import restated
from ingestion.fakes.script import OfData, Provider
from ingestion.fakes.served import Dating, ServedClock
from ingestion.fakes.universe import Series
from ingestion.sources import tape as tapes
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.tape import Tape, microseconds

SECOND: Final = 1_000_000
# About a day of 600 symbols: a tape of some thousand trades is 100 kB.
_TAPES: Final = 1_024

Faults = Callable[[Provider, str], Sequence[OfData]]


@dataclass(frozen=True)
class Forming:
    """A session that is under way: its trades up to now."""

    tape: Tape
    trades: int

    @property
    def last_at(self) -> int:
        """Microseconds of the last trade."""
        return int(self.tape.at[self.trades - 1])

    @cached_property
    def prices(self) -> tuple[int, int, int, int]:
        """Open, high, low and last price so far, in millionths."""
        seen = self.tape.price[: self.trades]
        return int(seen[0]), int(seen.max()), int(seen.min()), int(seen[-1])

    @property
    def volume(self) -> int:
        """Shares so far, scaled so that the whole session's are the bar's volume."""
        seen, whole = int(self.tape.size[: self.trades].sum()), int(self.tape.size.sum())
        return seen * self.tape.bar.volume // whole


@dataclass(frozen=True)
class View:
    """A symbol up to a moment: complete bars; the last one may still be forming."""

    bars: Columns
    forming: Forming | None

    @property
    def complete(self) -> int:
        """How many bars are complete."""
        return len(self.bars) - (self.forming is not None)


class Market:
    """The served symbols, with the script's splits, restatements and nulls in what it gives.

    ``volume_fraction`` is the share of a bar's volume that its simulated trades add up to.
    """

    def __init__(
        self,
        universe: Mapping[str, Series],
        calendar: Calendar,
        dating: Dating,
        clock: ServedClock,
        seed: int = 7,
        volume_fraction: Decimal = Decimal("0.04"),
    ) -> None:
        self.clock = clock
        self.calendar = calendar
        self.series = universe
        self.shift = dating.shift
        self._dating = dating
        self._seed = seed
        self._fraction = volume_fraction
        self._started_at = clock.now()
        self.faults: Faults = lambda _provider, _symbol: ()
        self._columns = lru_cache(maxsize=None)(self._made)
        self.tape = lru_cache(maxsize=_TAPES)(self._tape)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self.series

    def view(self, symbol: str, provider: Provider, now: datetime | None = None) -> View:
        """Return a symbol at a moment, by default the market's present, as a provider has it.

        Raises:
            KeyError: the symbol is not served.
        """
        moment = now or self.clock.now()
        made = self._restated(symbol, provider)
        complete = _complete(made, moment)
        forming = self._forming(made, complete, moment)
        if forming is None:
            return View(made.first(complete), None)
        visible = made.first(complete + 1)
        session = forming.tape.bar.session
        return View(with_last(visible, session, forming.prices, forming.volume), forming)

    def trades(
        self, symbol: str, provider: Provider, since: datetime, until: datetime
    ) -> Iterator[tuple[Tape, slice]]:
        """Return the trades after ``since`` and up to ``until``: each session's tape and which."""
        made = self._restated(symbol, provider)
        start, end = microseconds(since), microseconds(until)
        first = _complete(made, since)
        for position in range(first, len(made)):
            if made.sessions[position].open_at >= until:
                return
            found = self.tape(made.bar(position))
            if found is not None:
                bounds = np.searchsorted(found.at, [start, end], side="right").tolist()
                yield found, slice(*bounds)

    def session_open(self, now: datetime) -> Session | None:
        """Return the session that is under way."""
        session = self.calendar.session_of(now)
        inside = session is not None and session.open_at <= now < session.close_at
        return session if inside else None

    def _restated(self, symbol: str, provider: Provider) -> Columns:
        made = self._columns(symbol)
        latest = _complete(made, self._started_at) - 1
        return restated(made, self.faults(provider, symbol), latest)

    def _made(self, symbol: str) -> Columns:
        series = self.series[symbol]
        return columns(symbol, [self._dating.dated(bar) for bar in series.bars], series.actions)

    def _tape(self, bar: DailyBar) -> Tape | None:
        return tapes.record(bar, self._seed, self._fraction)

    def _forming(self, made: Columns, complete: int, now: datetime) -> Forming | None:
        if complete == len(made) or made.sessions[complete].open_at > now:
            return None
        found = self.tape(made.bar(complete))
        if found is None:
            return None
        trades = int(np.searchsorted(found.at, microseconds(now), side="right"))
        return Forming(found, trades) if trades else None


def _complete(made: Columns, now: datetime) -> int:
    """Count the sessions that are over."""
    low, high = 0, len(made)
    while low < high:
        middle = (low + high) // 2
        if made.sessions[middle].close_at <= now:
            low = middle + 1
        else:
            high = middle
    return low


@dataclass(frozen=True)
class Minutes:
    """Bars within a session: prices in millionths, None where nothing was traded."""

    start: int
    open: int | None
    high: int | None
    low: int | None
    close: int | None
    volume: int


def intraday(tape: Tape, minutes: int, now: datetime) -> Iterator[Minutes]:
    """Return the bars of so many minutes that have begun by now, from the session's open on.

    ``start`` is in epoch seconds, volumes are those of the simulated trades.
    """
    session = tape.bar.session
    end = min(now, session.close_at)
    step = timedelta(minutes=minutes)
    count = -(-(end - session.open_at) // step)
    first = microseconds(session.open_at)
    edges = first + np.arange(count + 1, dtype=np.int64) * (minutes * 60 * SECOND)
    edges[-1] = min(int(edges[-1]), microseconds(end) + 1)
    bounds = np.searchsorted(tape.at, edges, side="left").tolist()
    for number in range(count):
        chosen = slice(bounds[number], bounds[number + 1])
        yield _minutes(tape, chosen, first // SECOND + number * minutes * 60)


def _minutes(tape: Tape, chosen: slice, start: int) -> Minutes:
    price = tape.price[chosen]
    if not len(price):
        return Minutes(start, None, None, None, None, 0)
    volume = int(tape.size[chosen].sum())
    opening, closing = int(price[0]), int(price[-1])
    return Minutes(start, opening, int(price.max()), int(price.min()), closing, volume)
