"""Bars of many symbols: each from where its last pull ended, and a little from before.

A provider corrects its latest sessions: the last five are pulled again each time. What has not
changed gets the same event_id, what has is a new event with its own ``as_of``. A split that is new
since the last pull has put the whole history on another basis: then all of it is pulled again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Final

from ingestion.calendar import Calendar
from ingestion.contracts.records import CorporateActionMessage, Message
from ingestion.contracts.topics import BATCH
from ingestion.errors import SourceError
from ingestion.sources.fetcher import Fetcher, Unit
from ingestion.sources.progress import Covered, Progress
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    StoppedError,
)
from ingestion.sources.source import Refused

WINDOW_SESSIONS: Final = 5
# Of one symbol only: the next may fare better. What is not here would meet every one of them.
_OF_THE_SYMBOL: Final = (DeniedError, MalformedError, NoDataError, ProviderDownError)

Made = Message | Refused


class Pull:
    """One fetch of a range; a symbol that fails does not keep the others from being fetched.

    ``confirmed`` tells how many records of this run Kafka has confirmed, from the first without a
    gap; it is asked after each symbol. The caller settles the rest when the run is over.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        calendar: Calendar,
        progress: Progress,
        symbols: Sequence[str],
        asked: Unit,
        confirmed: Callable[[], int],
    ) -> None:
        """Take what to fetch; the bounds of ``asked`` are set, its symbol is not used."""
        if asked.start is None or asked.end is None:
            raise ValueError(f"expected a range, found {asked}")
        self._fetcher = fetcher
        self._calendar = calendar
        self._progress = progress
        self._symbols = symbols
        self._interval = asked.interval
        self._start, self._end = asked.start, asked.end
        self._confirmed = confirmed
        self._given = 0
        self._passed: list[str] = []
        self._split: list[str] = []
        self._failed: dict[str, ProviderError] = {}

    @property
    def name(self) -> str:
        return self._fetcher.name

    def messages(self) -> Iterator[Made]:
        self._progress.begin(self._start, self._end)
        try:
            for symbol in self._symbols:
                yield from self._symbol(symbol)
                self._progress.settle(self._confirmed())
        except StoppedError:
            return
        self._progress.end()
        self._raise_failed()

    def facts(self) -> Mapping[str, object]:
        return {
            **self._fetcher.facts(),
            "symbols": len(self._symbols),
            "done_before": self._passed,
            "pulled_again_for_a_split": self._split,
            "failed_symbols": sorted(self._failed),
        }

    def _symbol(self, symbol: str) -> Iterator[Made]:
        if self._progress.is_done(symbol):
            self._passed.append(symbol)
            return
        try:
            made, covered = self._pulled(symbol)
        except _OF_THE_SYMBOL as error:
            self._failed[symbol] = error
            if isinstance(error, MalformedError) and error.body:
                self._given += 1
                yield Refused(error.body, BATCH, "malformed", str(error))
            return
        self._given += len(made)
        self._progress.hand_out(symbol, covered, self._given)
        yield from made

    def _pulled(self, symbol: str) -> tuple[list[Made], Covered]:
        known = self._progress.covered(symbol)
        if known is None or self._start < known.start or self._is_apart(known):
            made = self._fetch(symbol, self._start)
            return made, Covered(self._start, self._end, _splits(made))
        made = self._fetch(symbol, self._window_start(known))
        splits = _splits(made)
        if not set(splits) <= set(known.splits):
            self._split.append(symbol)
            made = _and_more(made, self._fetch(symbol, self._history_start(known)))
            splits = _splits(made)
        end = max(known.end, self._end)
        return made, Covered(known.start, end, tuple(sorted({*known.splits, *splits})))

    def _fetch(self, symbol: str, start: date) -> list[Made]:
        return self._fetcher.fetch(Unit("bars", symbol, start, self._end, self._interval))

    def _is_apart(self, known: Covered) -> bool:
        """Tell whether sessions lie between what is known and what is asked for."""
        between = self._calendar.sessions(known.end, self._start)
        return self._start > known.end and len(between) > len(
            {known.end, self._start} & {session.session_date for session in between}
        )

    def _window_start(self, known: Covered) -> date:
        until = min(known.end, self._end)
        sessions = self._calendar.sessions(self._start, until)[-WINDOW_SESSIONS:]
        return sessions[0].session_date if sessions else self._start

    def _history_start(self, known: Covered) -> date:
        """Return the first day of what a split has changed; providers keep no old intraday bars."""
        return known.start if self._interval == "1d" else self._start

    def _raise_failed(self) -> None:
        """Fail when a symbol did; what was fetched of the others has been given.

        Raises:
            SourceError: which symbols, and why.
        """
        if self._failed:
            found = "; ".join(f"{symbol}: {error}" for symbol, error in self._failed.items())
            raise SourceError(
                f"{len(self._failed)} of {len(self._symbols)} symbols could not be fetched: {found}"
            )


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
