"""Whose values have to be hashed for the ledger: hashing all of them costs more than reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audit.book import Book
from audit.hashes import look_up
from audit.model import NOTHING, Offsets, Partition


@dataclass(frozen=True)
class Wanted:
    """The offsets named, sorted, and the topics of which every record is wanted."""

    named: Mapping[tuple[str, int], Offsets] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def mask(self, place: Partition, offsets: Offsets) -> NDArray[np.bool_]:
        """Return which of a partition's offsets are wanted, whatever its generation."""
        if place.topic in self.whole:
            return np.ones(len(offsets), dtype=bool)
        return look_up(self._of(place), offsets)[1]

    def touches(self, place: Partition, start: int, end: int | None) -> bool:
        """Return whether an interval may hold a wanted offset; an unknown end is far away."""
        if place.topic in self.whole:
            return True
        named = self._of(place)
        at = int(np.searchsorted(named, start))
        return at < len(named) and (end is None or int(named[at]) < end)

    def _of(self, place: Partition) -> Offsets:
        return self.named.get((place.topic, place.partition), NOTHING)


NOBODY = Wanted()


def confirmed(book: Book, is_whole: bool) -> Wanted:
    """Return what a ledger says was confirmed, and with ``is_whole`` all of its topics."""
    if is_whole:
        return Wanted(whole=frozenset(book.topics))
    acks = book.acked
    named = {
        (topic, int(partition)): np.unique(acks.of(number, partition).offsets)
        for number, topic in enumerate(book.topics)
        for partition in np.unique(acks.partitions[acks.topics == number])
    }
    return Wanted(named)
