"""What the stream knows of a share of one source's symbols, and how a batch of trades changes it.

A source has a clock per Kafka partition: the newest ``fetched_at`` read from it, over all symbols
(but none beyond Kafka's own timestamp of its record: see ``packets``).
A symbol's records stay in one partition, so that its clock says how far the symbol has been read,
also while a backlog is read at different speeds; the newest of the clocks is the source's. Both are
the data's own time: a replay behaves as the day did, and one source's does not touch another's.

A session is forgotten when its own partitions' clocks have passed its day, never by another's:
what were told of it once its trades are gone would take the place of what all of them gave. Of each
symbol the last session forgotten is remembered, so that none begins anew.

Where Kafka has lost the beginning of a partition, the sessions that had begun when its reading did
are left to the batch: what is left of them would take the place of rows that all of them gave.

All is a function of the state before and the batch: the same batch again gives the same rows.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final, Protocol

import msgspec

from spark_jobs.transforms import book
from spark_jobs.transforms.book import Book
from spark_jobs.transforms.packets import Reading
from spark_jobs.transforms.segments import MINUTE_US
from spark_jobs.transforms.sitting import Arrival, News

_NEVER: Final = -(2**62)

Clocks = Mapping[int, int]
"""By Kafka partition, microseconds since 1970."""
# A session's first trade, hours before the open: the local date begins no earlier.
_BEFORE_OPEN_US: Final = 12 * 60 * MINUTE_US


class Memory(book.Memory, Protocol):
    """Where a share's state lies."""

    def head(self) -> bytes | None: ...
    def keep_head(self, head: bytes) -> None: ...
    def symbols(self) -> list[str]: ...


class _Head(msgspec.Struct, array_like=True):
    """A share's clocks, and by symbol the last day whose session has been forgotten.

    ``begun`` is what the clock showed when the reading of a headless partition began.
    """

    clocks: dict[int, int]
    forgotten: dict[str, int]
    begun: dict[int, int]


_heads = msgspec.msgpack.Decoder(_Head)


class Share:
    """A share of one source's symbols during one batch.

    ``counts`` says what became part of no minute: ``late`` (its minute was closed), ``duplicate``
    (its event_id is known), ``unmatched`` (a revision whose trade is closed or never came) and
    ``beheaded`` (of a session whose beginning Kafka has lost). ``headless`` are the partitions
    that were not read from their beginning.
    """

    def __init__(
        self, memory: Memory, lateness: int, headless: Collection[int] = frozenset()
    ) -> None:
        self._memory = memory
        self._lateness = lateness
        self._headless = headless
        self.counts: Counter[str] = Counter()

    def take(self, arrivals: Iterable[Arrival], clocks: Mapping[int, Reading]) -> Iterator[News]:
        """Take a batch's records and clocks, and tell the sessions that have rows to write.

        The order of records within a batch makes no difference, but for which of two with one
        event_id is the first: the one with the lower offset.
        """
        known = self._memory.head()
        head = _Head({}, {}, {}) if known is None else _heads.decode(known)
        before = head.clocks
        after = before | {p: max(r.newest, before.get(p, _NEVER)) for p, r in clocks.items()}
        first = {p: r.first for p, r in clocks.items() if p in self._headless and p not in before}
        head.begun |= first
        if not after:
            return
        books = self._books(self._whole(arrivals, head.begun), self._cuts(before), head.forgotten)
        if self._ticks(before) != self._ticks(after):
            # Everyone's minutes may close or become final now, not only those that have news.
            others = (name for name in self._memory.symbols() if name not in books)
            books |= {name: self._book(name, head.forgotten) for name in others}
        cuts = self._cuts(after)
        for one in books.values():
            one.settle()
            one.close(cuts)
            yield from one.news(max(cuts.values()))
            one.save()
        forgotten = head.forgotten | {
            name: one.forgotten for name, one in books.items() if one.forgotten is not None
        }
        self._memory.keep_head(msgspec.msgpack.encode(_Head(after, forgotten, head.begun)))

    def _whole(self, arrivals: Iterable[Arrival], begun: Clocks) -> Iterator[Arrival]:
        for one in arrivals:
            if one.open_at - _BEFORE_OPEN_US < begun.get(one.trade.partition, _NEVER):
                self.counts["beheaded"] += 1
            else:
                yield one

    def _books(
        self, arrivals: Iterable[Arrival], cuts: Clocks, forgotten: Mapping[str, int]
    ) -> dict[str, Book]:
        books = {}
        for name, mine in groupby(sorted(arrivals, key=_place), lambda arrival: arrival.symbol):
            books[name] = self._book(name, forgotten)
            for arrival in mine:
                books[name].add(arrival, cuts.get(arrival.trade.partition, _NEVER))
        return books

    def _book(self, name: str, forgotten: Mapping[str, int]) -> Book:
        return Book(name, self._memory, self.counts, forgotten.get(name))

    def _cuts(self, clocks: Clocks) -> dict[int, int]:
        return {partition: at - self._lateness for partition, at in clocks.items()}

    def _ticks(self, clocks: Clocks) -> dict[int, int]:
        return {partition: cut // MINUTE_US for partition, cut in self._cuts(clocks).items()}


def _place(arrival: Arrival) -> tuple[str, int, int]:
    return arrival.symbol, arrival.trade.partition, arrival.trade.offset
