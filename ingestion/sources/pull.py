"""Bars of many symbols: each from where its last pull ended, and a little from before.

A provider corrects its latest sessions: the last five are pulled again each time. What has not
changed gets the same event_id, what has is a new event with its own ``as_of``. A split that is new
since the last pull has put the whole history on another basis: then all of it is pulled again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final

from ingestion.calendar import Calendar
from ingestion.contracts.records import BarMessage, CorporateActionMessage, Message
from ingestion.sources.failover import Failover
from ingestion.sources.fetcher import Fetcher, Unit
from ingestion.sources.progress import Covered, Progress
from ingestion.sources.provider import (
    BudgetSpentError,
    CircuitOpenError,
    NoDataError,
    RateLimitedError,
)
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused

WINDOW_SESSIONS: Final = 5
# What every other unit would have met just then too.
_HOLDING: Final = (RateLimitedError, BudgetSpentError, CircuitOpenError)

Made = Message | Refused


class Windowed:
    """A provider's bars, a unit of them shortened to what earlier fetches do not have.

    Once all of a unit is handed on, ``handed_out`` notes what it covers.

    Attributes:
        was_held: whether a unit was refused for what is not its own fault; the fetch is then not at
            its end, and goes on another time.
    """

    def __init__(self, fetcher: Fetcher, calendar: Calendar, progress: Progress) -> None:
        self._fetcher = fetcher
        self._calendar = calendar
        self._progress = progress
        self._fetched: dict[Unit, Covered] = {}
        self._split: list[str] = []
        self.was_held = False

    @property
    def name(self) -> str:
        return self._fetcher.name

    def serves(self, unit: Unit) -> bool:
        return self._fetcher.serves(unit) and unit.start is not None and unit.end is not None

    def fetch(self, unit: Unit) -> list[Made]:
        if unit.start is None or unit.end is None:
            raise NoDataError(f"expected a range, found {unit}")
        try:
            made, self._fetched[unit] = self._pulled(unit, unit.start, unit.end)
        except _HOLDING:
            self.was_held = True
            raise
        return made

    def begin(self) -> None:
        """Begin a fetch: nothing was held yet."""
        self.was_held = False

    def handed_out(self, unit: Unit, last: int) -> None:
        """Note that a fetched unit is on its way; ``last`` is its last record's number in the run.

        A unit that another provider served is none of ours.
        """
        covered = self._fetched.pop(unit, None)
        if covered is not None:
            self._progress.hand_out(unit.symbol, covered, last)

    def facts(self) -> Mapping[str, object]:
        return {**self._fetcher.facts(), "pulled_again_for_a_split": self._split}

    def _pulled(self, unit: Unit, start: date, end: date) -> tuple[list[Made], Covered]:
        known = self._progress.covered(unit.symbol)
        if known is None or start < known.start or self._is_apart(known, start):
            made = self._fetcher.fetch(unit)
            return made, Covered(start, _reached(made), _splits(made))
        made = self._fetch_from(self._window_start(known, start, end), unit)
        splits = _splits(made)
        if not set(splits) <= set(known.splits):
            self._split.append(unit.symbol)
            made = _and_more(made, self._fetch_from(_history_start(known, unit, start), unit))
            splits = _splits(made)
        splits = tuple(sorted({*known.splits, *splits}))
        return made, Covered(known.start, max(known.end, _reached(made)), splits)

    def _fetch_from(self, start: date, unit: Unit) -> list[Made]:
        return self._fetcher.fetch(replace(unit, start=start))

    def _is_apart(self, known: Covered, start: date) -> bool:
        """Tell whether sessions lie between what is known and what is asked for."""
        days = [session.session_date for session in self._calendar.sessions(known.end, start)]
        return bool(set(days) - {known.end, start})

    def _window_start(self, known: Covered, start: date, end: date) -> date:
        sessions = self._calendar.sessions(start, min(known.end, end))[-WINDOW_SESSIONS:]
        return sessions[0].session_date if sessions else start


class Pull:
    """One fetch of a range: the symbols that it is not yet done with, by fail-over.

    ``fetcher`` has ``bars`` among its providers; what another one serves is no progress of theirs.
    ``n_done`` counts the symbols that it is done with, whatever came of them.
    ``confirmed`` tells how many records of this run Kafka has confirmed, from the first without a
    gap; it is asked after each symbol. The caller settles the rest when the run is over.
    """

    def __init__(
        self,
        fetcher: RankedFetcher,
        bars: Windowed,
        progress: Progress,
        symbols: Sequence[str],
        interval: str,
        days: tuple[date, date],
        confirmed: Callable[[], int],
    ) -> None:
        self._bars = bars
        self._progress = progress
        self._symbols = symbols
        self._interval = interval
        self._start, self._end = days
        self._confirmed = confirmed
        self._done_before: list[str] = []
        self.n_done = 0
        self._failover = Failover(fetcher, self._units(), self._taken)

    @property
    def name(self) -> str:
        return self._failover.name

    def messages(self) -> Iterator[Made]:
        self._bars.begin()
        self._progress.begin(self._start, self._end)
        yield from self._failover.messages()

    def facts(self) -> Mapping[str, object]:
        return {**self._failover.facts(), "done_before": self._done_before}

    def _units(self) -> Iterator[Unit]:
        for symbol in self._symbols:
            if self._progress.is_done(symbol):
                self._done_before.append(symbol)
            else:
                yield Unit("bars", symbol, self._start, self._end, self._interval)
            self.n_done += 1
        if not self._bars.was_held:
            self._progress.end()

    def _taken(self, unit: Unit, last: int) -> None:
        self._bars.handed_out(unit, last)
        self._progress.settle(self._confirmed())


def _history_start(known: Covered, unit: Unit, start: date) -> date:
    """Return the first day of what a split has changed; providers keep no old intraday bars."""
    return known.start if unit.interval == "1d" else start


def _reached(made: Sequence[Made]) -> date:
    """Return the last session with a bar: providers add the latest days late, after days even."""
    days = (one.data.session_date for one in made if isinstance(one, BarMessage))
    return date.fromisoformat(max(days, default=date.min.isoformat()))


def _splits(made: Sequence[Made]) -> tuple[str, ...]:
    return tuple(
        f"{one.data.ex_date} {one.data.ratio}"
        for one in made
        if isinstance(one, CorporateActionMessage) and one.data.type == "split"
    )


def _and_more(first: list[Made], second: list[Made]) -> list[Made]:
    """Return all of two answers; an observation that both have is given once."""
    given = {one.event_id for one in first if not isinstance(one, Refused)}
    rest = [one for one in second if isinstance(one, Refused) or one.event_id not in given]
    return [*first, *rest]
