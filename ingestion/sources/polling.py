"""Quotes of many symbols, polled in turn for as long as the run lasts.

The symbols' polls are spread evenly over the interval, so that no minute and no second has more
requests than another. Outside regular hours a quote does not change: then each symbol is polled
rarely, and again at full pace from the next open.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ingestion import logs
from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.contracts.records import Message
from ingestion.contracts.topics import QUOTES
from ingestion.errors import SettingsError
from ingestion.sources.fetcher import Fetcher, Unit
from ingestion.sources.provider import (
    BudgetSpentError,
    DeniedError,
    MalformedError,
    ProviderError,
    StoppedError,
)
from ingestion.sources.ranked import DENIED_S, MALFORMED, RankedFetcher
from ingestion.sources.sessions import next_open, open_session
from ingestion.sources.source import Refused

_SLICE_S: Final = 0.2
# The closing auction's print comes up to a minute after the close, the quote that shows it later.
_AFTER_CLOSE: Final = timedelta(minutes=10)


@dataclass(frozen=True)
class Pace:
    """How often each symbol is polled, in seconds, and how many requests a minute there are."""

    interval_s: float = 5.5
    closed_interval_s: float = 900.0
    requests_per_minute: float = 60.0

    def open_s(self, n_symbols: int) -> float:
        """Return a symbol's interval in a session; longer where the budget has no room for it."""
        return max(self.interval_s, n_symbols * 60.0 / self.requests_per_minute)

    def closed_s(self, n_symbols: int) -> float:
        """Return a symbol's interval outside of sessions."""
        return max(self.closed_interval_s, self.open_s(n_symbols))


class PolledQuotes:
    """A live source: the quotes of a fetcher's symbols in turn, None while nothing is due."""

    def __init__(
        self,
        fetcher: Fetcher,
        symbols: Sequence[str],
        calendar: Calendar,
        clock: Clock,
        stopping: Callable[[], bool],
        pace: Pace | None = None,
    ) -> None:
        if not symbols:
            raise SettingsError("expected at least one symbol to poll, found none")
        self._fetcher = fetcher
        self._ring = deque(dict.fromkeys(symbols))
        self._calendar = calendar
        self._clock = clock
        self._stopping = stopping
        self._pace = pace or Pace()
        self._made: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._denied: dict[str, float] = {}  # until when, on the monotonic clock
        self._log = logs.get("polling").bind(source=fetcher.name)

    @property
    def name(self) -> str:
        return self._fetcher.name

    def messages(self) -> Iterator[Message | Refused | None]:
        """Poll until asked to stop; a failed poll is counted, and the next one comes in its turn.

        Raises:
            DeniedError: the provider has denied the key, or every symbol, and never gave a quote.
        """
        self._tell_stretch()
        due = self._clock.monotonic()
        while not self._stopping():
            wait_s = due - self._clock.monotonic()
            self._admit()
            if wait_s > 0 or not self._ring:
                wait_s = max(wait_s, _SLICE_S / 2)
                self._clock.sleep(min(wait_s, _SLICE_S))
                yield None
                continue
            pause_s = yield from self._poll()
            # A turn that came late does not make the next ones come in a burst.
            due = self._clock.monotonic() + pause_s if pause_s else self._next(due)
        yield from self._left_over()

    def facts(self) -> Mapping[str, object]:
        return {
            "polls": self._made.total() + self._failed.total(),
            "quotes": self._made["quotes"],
            "refused_answers": self._failed["MalformedError"],
            "failed_polls": dict(self._failed),
            "denied_symbols": sorted(self._denied),
            "poll_interval_s": self._pace.open_s(max(len(self._ring), 1)),
        }

    def _poll(self) -> Generator[Message | Refused, None, float]:
        """Poll the next symbol; return the seconds that the budget wants to be left alone."""
        symbol = self._ring[0]
        self._ring.rotate(-1)
        try:
            made = self._fetcher.fetch(Unit("quote", symbol))
        except StoppedError:
            return 0.0
        except DeniedError as error:
            self._fail(symbol, error)
            self._drop(symbol, error)
        except MalformedError as error:
            self._fail(symbol, error)
            yield from self._refused(error)
        except ProviderError as error:
            self._fail(symbol, error)
            yield from self._left_over()
            return error.wait_s if isinstance(error, BudgetSpentError) else 0.0
        else:
            self._made["quotes"] += len(made)
            yield from made
        return 0.0

    def _next(self, due: float) -> float:
        """Return when the next symbol's turn is, on the monotonic clock."""
        return max(due + self._step_s(), self._clock.monotonic())

    def _step_s(self) -> float:
        """Return the seconds between two symbols' polls; those to the open, where it is nearer."""
        n_symbols = max(len(self._ring), 1)
        now = self._clock.now()
        in_session = open_session(self._calendar, now) or open_session(
            self._calendar, now - _AFTER_CLOSE
        )
        if in_session:
            return self._pace.open_s(n_symbols) / n_symbols
        step_s = self._pace.closed_s(n_symbols) / n_symbols
        opens = next_open(self._calendar, now)
        return step_s if opens is None else min(step_s, (opens - now).total_seconds())

    def _fail(self, symbol: str, error: ProviderError) -> None:
        self._failed[type(error).__name__] += 1
        self._log.warning(
            "poll_failed", symbol=symbol, error=type(error).__name__, detail=str(error)
        )

    def _refused(self, error: MalformedError) -> list[Refused]:
        """Return the answer that was none; of several providers each keeps its own."""
        if isinstance(self._fetcher, RankedFetcher):
            return self._left_over()
        if not error.body:  # nothing was received that could be kept
            return []
        return [Refused(error.body, QUOTES, MALFORMED, str(error), self.name, error.context)]

    def _left_over(self) -> list[Refused]:
        fetcher = self._fetcher
        return fetcher.take_refused() if isinstance(fetcher, RankedFetcher) else []

    def _drop(self, symbol: str, error: DeniedError) -> None:
        """Leave out a symbol that the plan does not include for a while.

        Where there never was a quote, and the key or all symbols are denied, there will be none.
        """
        self._ring.remove(symbol)
        self._denied[symbol] = self._clock.monotonic() + DENIED_S
        if not self._made and (error.what == "key" or not self._ring):
            raise error

    def _admit(self) -> None:
        """Let in again what was denied long enough ago: plans change, and a denial may be wrong."""
        now = self._clock.monotonic()
        for symbol in [symbol for symbol, until in self._denied.items() if until <= now]:
            del self._denied[symbol]
            self._ring.append(symbol)

    def _tell_stretch(self) -> None:
        interval_s = self._pace.open_s(len(self._ring))
        if interval_s > self._pace.interval_s:
            self._log.warning(
                "poll_interval_stretched",
                symbols=len(self._ring),
                wanted_s=self._pace.interval_s,
                interval_s=interval_s,
            )
