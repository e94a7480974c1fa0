"""A source whose messages go wrong on purpose, at stated rates, with a record of each fault.

It wraps any source, simulated or recorded. Whether a fault strikes depends on the seed, the fault
and the event alone (``kinds.chance``), so that the same faults strike however a stream is cut. Time
is the stream's own: what is held back is released when a later fetch has been seen, at the end in
the order of release.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import count
from typing import Final, NamedTuple

from ingestion.calendar import Calendar
from ingestion.contracts.records import (
    BarMessage,
    CorporateActionMessage,
    Message,
    QuoteMessage,
    TradeMessage,
)
from ingestion.sources.faults import alter, truth
from ingestion.sources.faults.kinds import KINDS, Rates, chance
from ingestion.sources.faults.known import Days, Quotes
from ingestion.sources.faults.truth import Truth
from ingestion.sources.source import Refused, Source

OUT_OF_ORDER: Final = timedelta(seconds=5)
DUPLICATE: Final = timedelta(minutes=1)
CORRECTION: Final = timedelta(minutes=5)
LATE_FROM: Final = timedelta(minutes=1)
LATE_TO: Final = timedelta(days=3)
_LARGEST_CORRECTION_CENTS: Final = 50
_MICROSECOND: Final = timedelta(microseconds=1)

# What is given instead of an event, now: nothing where it was dropped or is held back.
Given = tuple[Message, ...]


class _Case(NamedTuple):
    """An event as the source made it, as it is after the faults of its session, and its day."""

    made: Message
    event: Message
    day: date


class Faulty:
    """Gives on what a source makes, with faults; ``truth`` has them when the messages have come."""

    def __init__(
        self, source: Source, rates: Rates, seed: int, calendar: Calendar, truth: Truth
    ) -> None:
        self._source = source
        self._rates = rates
        self._seed = seed
        self._days = Days(calendar)
        self._truth = truth
        self._held: list[tuple[datetime, int, Callable[[], Message]]] = []
        self._numbers = count(1)
        self._given: Counter[str] = Counter()
        self._renamed: dict[str, str] = {}
        self._first_day: dict[str, date] = {}
        self._quotes: dict[str, Quotes] = {}
        self._per_event = [kind for kind in KINDS if kind in rates and kind in _PER_EVENT]

    @property
    def name(self) -> str:
        return self._source.name

    def messages(self) -> Iterator[Message | Refused]:
        with self._truth:
            for made in self._source.messages():
                if isinstance(made, Refused):
                    yield made
                    continue
                yield from self._released(datetime.fromisoformat(made.fetched_at))
                yield from self._counted(self._judged(made))
            yield from self._released(None)

    def facts(self) -> Mapping[str, object]:
        found = {f"fault_{kind}": self._truth.counts[kind] for kind in self._rates}
        return {**self._source.facts(), "fault_seed": self._seed, **found}

    def _judged(self, made: Message) -> Given:
        day = self._days.of(made)
        case = self._misplaced(self._renamed_from(_Case(made, made, day)))
        if self._is_of_a_missing_minute(case):
            return ()
        for kind in self._per_event:
            if self._strikes(kind, made.event_id):
                given = _PER_EVENT[kind](self, case)
                if given is not None:
                    return given
        self._remember(case)
        return (case.event,)

    def _strikes(self, kind: str, *names: str) -> bool:
        rate = self._rates.get(kind)
        return rate is not None and chance(self._seed, kind, *names) < rate

    # Faults of a symbol's session or minute.

    def _renamed_from(self, case: _Case) -> _Case:
        if "rename" not in self._rates or not self._is_renamed(case.made.symbol, case.day):
            return case
        sent = alter.renamed(case.event, self._renamed[case.made.symbol])
        self._note("rename", case, sent, symbol=sent.symbol)
        return case._replace(event=sent)

    def _is_renamed(self, symbol: str, day: date) -> bool:
        if symbol in self._renamed:
            return True
        # Not on its first day: a symbol that nobody has seen before cannot be missed.
        if day <= self._first_day.setdefault(symbol, day):
            return False
        if self._strikes("rename", symbol, day.isoformat()):
            self._renamed[symbol] = f"{symbol[:19]}Z"
        return symbol in self._renamed

    def _misplaced(self, case: _Case) -> _Case:
        by = self._days.change(case.day) if "dst" in self._rates else None
        if not by or not self._strikes("dst", case.made.symbol, case.day.isoformat()):
            return case
        sent = alter.moved(case.event, by)
        self._note("dst", case, sent, moved_s=by // timedelta(seconds=1))
        return case._replace(event=sent)

    def _is_of_a_missing_minute(self, case: _Case) -> bool:
        minute = case.made.event_time[:16]
        if not isinstance(case.made, TradeMessage) or not self._strikes(
            "missing_minute", case.made.symbol, minute
        ):
            return False
        self._note("missing_minute", case, None, minute=minute)
        return True

    # Faults of one event: what is given instead, None where the fault does not apply to it.

    def _miss_split(self, case: _Case) -> Given | None:
        event = case.event
        if not (isinstance(event, CorporateActionMessage) and event.data.type == "split"):
            return None
        self._note("missed_split", case, None, ratio=event.data.ratio or "")
        return ()

    def _null_prices(self, case: _Case) -> Given | None:
        if not isinstance(case.event, BarMessage):
            return None
        return self._instead("null_ohlc", case, alter.without_prices(case.event))

    def _zero_quote(self, case: _Case) -> Given | None:
        if not isinstance(case.event, QuoteMessage):
            return None
        return self._instead("zero_quote", case, alter.zeroed(case.event))

    def _stale_quote(self, case: _Case) -> Given | None:
        event, known = case.event, self._quotes.get(case.made.symbol)
        old = known.before(case.day) if known else None
        if not isinstance(event, QuoteMessage) or old is None:
            return None
        sent = alter.served_again(old, event)
        self._note("stale_quote", case, sent, of=old.event_time)
        return (sent,)

    def _hundredfold(self, case: _Case) -> Given | None:
        sent = alter.in_another_unit(case.event)
        return None if sent is None else self._instead("price_100x", case, sent)

    def _twin(self, case: _Case) -> Given | None:
        if not isinstance(case.event, TradeMessage):
            return None
        sent = alter.twin(case.event, next(self._numbers))
        self._note("twin", case, sent)
        return case.event, sent

    def _correct(self, case: _Case) -> Given | None:
        event = case.event
        if not isinstance(event, TradeMessage):
            return None
        by, number = self._delay("correct", case, CORRECTION), next(self._numbers)
        share = chance(self._seed, "correct cents", case.made.event_id)
        cents = round((2 * share - 1) * _LARGEST_CORRECTION_CENTS) or 1
        sent = alter.correction(event, number, cents, by)
        self._note("correct", case, sent, price=sent.data.price, was=event.data.price)
        self._hold(sent.fetched_at, lambda: sent)
        return (event,)

    def _bust(self, case: _Case) -> Given | None:
        if not isinstance(case.event, TradeMessage):
            return None
        by = self._delay("bust", case, CORRECTION)
        sent = alter.cancellation(case.event, next(self._numbers), by)
        self._note("bust", case, sent)
        self._hold(sent.fetched_at, lambda: sent)
        return (case.event,)

    def _duplicate(self, case: _Case) -> Given | None:
        self._note("duplicate", case, case.event)
        by = self._delay("duplicate", case, DUPLICATE)
        self._hold(alter.shifted(case.event.fetched_at, by), lambda: case.event)
        self._remember(case)
        return (case.event,)

    def _disorder(self, case: _Case) -> Given | None:
        return self._held_back("out_of_order", case, self._delay("out_of_order", case))

    def _late(self, case: _Case) -> Given | None:
        share = chance(self._seed, "late delay", case.made.event_id)
        return self._held_back("late", case, LATE_FROM * (LATE_TO / LATE_FROM) ** share)

    def _instead(self, kind: str, case: _Case, sent: Message) -> Given:
        self._note(kind, case, sent)
        return (sent,)

    def _held_back(self, kind: str, case: _Case, by: timedelta) -> Given:
        sent = alter.fetched_later(case.event, by)
        before = self._given[sent.symbol]

        def release() -> Message:
            overtaken = self._given[sent.symbol] - before
            milliseconds = by // timedelta(milliseconds=1)
            self._note(kind, case, sent, delay_ms=milliseconds, overtaken_by=overtaken)
            return sent

        self._hold(sent.fetched_at, release)
        return ()

    def _delay(self, kind: str, case: _Case, longest: timedelta = OUT_OF_ORDER) -> timedelta:
        share = chance(self._seed, f"{kind} delay", case.made.event_id)
        return _MICROSECOND + share * (longest - _MICROSECOND)

    # What is held back, and what is remembered.

    def _hold(self, until: str, release: Callable[[], Message]) -> None:
        heapq.heappush(self._held, (datetime.fromisoformat(until), next(self._numbers), release))

    def _released(self, now: datetime | None) -> Iterator[Message]:
        while self._held and (now is None or self._held[0][0] <= now):
            yield from self._counted((heapq.heappop(self._held)[2](),))

    def _counted(self, given: Given) -> Iterator[Message]:
        for message in given:
            self._given[message.symbol] += 1
            yield message

    def _remember(self, case: _Case) -> None:
        if isinstance(case.event, QuoteMessage) and "stale_quote" in self._rates:
            self._quotes.setdefault(case.made.symbol, Quotes()).add(case.event, case.day)

    def _note(self, kind: str, case: _Case, sent: Message | None, **detail: str | int) -> None:
        self._truth.note(truth.of(kind, case.made, sent, **detail))


_PER_EVENT: Final[Mapping[str, Callable[[Faulty, _Case], Given | None]]] = {
    "missed_split": Faulty._miss_split,
    "null_ohlc": Faulty._null_prices,
    "zero_quote": Faulty._zero_quote,
    "stale_quote": Faulty._stale_quote,
    "price_100x": Faulty._hundredfold,
    "twin": Faulty._twin,
    "correct": Faulty._correct,
    "bust": Faulty._bust,
    "duplicate": Faulty._duplicate,
    "out_of_order": Faulty._disorder,
    "late": Faulty._late,
}
