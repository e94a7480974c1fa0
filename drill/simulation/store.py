"""The object store of the world: create-only PUT, immutable objects, its own history."""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import NamedTuple

from ingestion.land.protocol import Head, Kind, Partition, Put, PutOutcome

Key = tuple[Partition, str, int]


class Object(NamedTuple):
    """An object as it is stored."""

    start: int
    next: int
    kind: Kind
    records: int
    body: bytes

    def head(self) -> Head:
        """Return the metadata that a GET answers with."""
        return Head(self.start, self.next, self.records, "", self.kind)


class Store:
    """Applies requests one at a time; who answers, when and whether is not its business."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.observe: Callable[[Key, Object, Object | None], None] | None = None
        self._starts: dict[tuple[Partition, str], list[int]] = {}

    def put(self, put: Put) -> PutOutcome:
        """Create the object of a request, if its key is free."""
        key = (put.partition, put.generation, put.start)
        if key in self.objects:
            return PutOutcome.EXISTS
        self._write(key, put)
        return PutOutcome.LANDED

    def at(self, partition: Partition, generation: str, start: int) -> Object | None:
        """Return the object that begins at ``start``."""
        return self.objects.get((partition, generation, start))

    def last(self, partition: Partition, generation: str, since: int) -> int | None:
        """Return the last first offset that is at least ``since``."""
        starts = self._starts.get((partition, generation), [])
        return starts[-1] if bisect_left(starts, since) < len(starts) else None

    def _write(self, key: Key, put: Put) -> None:
        old = self.objects.get(key)
        count = sum(chunk.count for chunk in put.chunks)
        body = b"".join([chunk.blob for chunk in put.chunks])
        self.objects[key] = new = Object(put.start, put.next, put.kind, count, body)
        if old is None:
            insort(self._starts.setdefault(key[:2], []), put.start)
        if self.observe is not None:
            self.observe(key, new, old)
