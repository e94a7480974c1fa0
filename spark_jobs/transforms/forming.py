"""What the stream knows of a share of one source's symbols, and how a batch of trades changes it.

A source has a clock per Kafka partition: the newest ``fetched_at`` read from it, over all symbols.
A symbol's records stay in one partition, so that its clock says how far the symbol has been read,
also while a backlog is read at different speeds; the newest of the clocks is the source's. Both are
the data's own time: a replay behaves as the day did, and one source's does not touch another's.

A session is forgotten when its own partitions' clocks have passed its day, never by another's:
what were told of it once its trades are gone would take the place of what all of them gave. Of each
symbol the last session forgotten is remembered, so that none begins anew.

All is a function of the state before and the batch: the same batch again gives the same rows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final, Protocol

import msgspec

from spark_jobs.transforms import book
from spark_jobs.transforms.book import Book
from spark_jobs.transforms.minutes import MINUTE_US
from spark_jobs.transforms.sitting import Arrival, News

_NEVER: Final = -(2**62)

Clocks = Mapping[int, int]
"""By Kafka partition: the newest ``fetched_at`` read from it, microseconds since 1970."""


class Memory(book.Memory, Protocol):
    """Where a share's state lies."""

    def head(self) -> bytes | None: ...
    def keep_head(self, head: bytes) -> None: ...
    def symbols(self) -> list[str]: ...


class _Head(msgspec.Struct, array_like=True):
    """A share's clocks, and by symbol the last day whose session has been forgotten."""

    clocks: dict[int, int]
    forgotten: dict[str, int]


_heads = msgspec.msgpack.Decoder(_Head)


class Share:
    """A share of one source's symbols during one batch.

    ``counts`` says what became part of no minute: ``late`` (its minute was closed), ``duplicate``
    (its event_id is known) and ``unmatched`` (a revision whose trade is closed or never came).
    """

    def __init__(self, memory: Memory, lateness: int) -> None:
        self._memory = memory
        self._lateness = lateness
        self.counts: Counter[str] = Counter()

    def take(self, arrivals: Iterable[Arrival], clocks: Clocks) -> Iterator[News]:
        """Take a batch's records and clocks, and tell the sessions that have rows to write.

        The order of records within a batch makes no difference, but for which of two with one
        event_id is the first: the one with the lower offset.
        """
        known = self._memory.head()
        head = _Head({}, {}) if known is None else _heads.decode(known)
        before = head.clocks
        after = before | {p: max(at, before.get(p, _NEVER)) for p, at in clocks.items()}
        if not after:
            return
        books = self._books(arrivals, self._cuts(before), head.forgotten)
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
        self._memory.keep_head(msgspec.msgpack.encode(_Head(after, forgotten)))

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
