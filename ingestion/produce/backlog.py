"""What was read from the source and waits for the client: in memory here, on disk in ``spool``."""

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Protocol

from msgspec import Struct

from ingestion.produce.outgoing import Outgoing


class Entry(Struct, gc=False):
    """A record on its way; ``number`` ascends in the order in which the source gave them.

    ``size_bytes`` is what it takes on disk, ``since`` when it was first about to be sent. A suspect
    was in a batch that the broker refused; ``is_alone`` is what must be sent in no batch but its
    own.
    """

    number: int
    record: Outgoing
    size_bytes: int = 0
    since: float = 0.0
    was_sent: bool = False
    is_suspect: bool = False
    is_alone: bool = False

    @property
    def stream(self) -> tuple[str, bytes | None]:
        """What it must keep its order in."""
        return self.record.topic, self.record.key


def alone_first(entries: Sequence[Entry]) -> list[Entry]:
    """Put the suspects before all others, to go alone, with what is before them in their streams.

    The order of each stream stays.
    """
    last = {entry.stream: entry.number for entry in entries if entry.is_suspect}
    for entry in entries:
        entry.is_alone = entry.is_alone or entry.number <= last.get(entry.stream, 0)
    return sorted(entries, key=lambda entry: not entry.is_alone)


class Backlog(Protocol):
    """Records in the order in which they are to be sent.

    Attributes:
        outlives: whether what is not confirmed is still there after the process.
    """

    outlives: bool

    @property
    def n_waiting(self) -> int:
        """How many were put and not yet taken."""
        ...

    @property
    def n_kept(self) -> int:
        """How many a later process will find."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether no more should be put."""
        ...

    def put(self, records: Sequence[Outgoing]) -> None:
        """Add records behind all others."""
        ...

    def take(self, limit: int) -> Sequence[Entry]:
        """Return the next ones, at most ``limit``; each is given once."""
        ...

    def forget(self, entry: Entry) -> None:
        """Note that an entry needs no sending any more; ``flush`` makes it last."""
        ...

    def set_aside(self, entry: Entry, reason: str) -> None:
        """Note that no broker will ever take an entry; ``flush`` makes it last."""
        ...

    def flush(self) -> None:
        """Forget and set aside for good what was noted."""
        ...


class Memory:
    """The backlog of a source that can be read again: nothing of it outlives the process."""

    outlives = False
    is_full = False
    n_kept = 0

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._numbers = count(1)

    @property
    def n_waiting(self) -> int:
        return len(self._entries)

    def put(self, records: Sequence[Outgoing]) -> None:
        self._entries.extend(map(Entry, self._numbers, records))

    def take(self, limit: int) -> Sequence[Entry]:
        return [self._entries.popleft() for _ in range(min(limit, len(self._entries)))]

    def forget(self, entry: Entry) -> None: ...

    def set_aside(self, entry: Entry, reason: str) -> None: ...

    def flush(self) -> None: ...
