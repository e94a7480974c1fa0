"""What was read from the source and waits for the client: in memory here, on disk in ``spool``."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from ingestion.produce.outgoing import Outgoing


@dataclass(slots=True)
class Entry:
    """A record on its way; ``number`` ascends in the order in which the source gave them.

    ``size_bytes`` is what it takes on disk, ``since`` when it was first about to be sent.
    """

    number: int
    record: Outgoing
    size_bytes: int = 0
    since: float = 0.0
    was_sent: bool = False


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

    def flush(self) -> None:
        """Forget for good what was noted."""
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

    def flush(self) -> None: ...
