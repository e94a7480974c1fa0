"""One partition's chain of objects: where it ends in storage, and what is held beyond it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from ingestion.land.lines import Chunk
from ingestion.land.protocol import Head, Partition, Put, Request


class Phase(StrEnum):
    """What is being done about a partition."""

    LOCATING = "locating"  # finding the end of the chain in storage
    FOLLOWING = "following"  # reading from Kafka and landing
    STALLED = "stalled"  # a contradiction that only people can resolve


# A request that is not answered for longer is told as a failure: a hung store says nothing at all.
_SILENT_S: Final = 10.0


class Failure(NamedTuple):
    """Why nothing of a partition can be landed, and since when (monotonic)."""

    since: float
    error: str


@dataclass(slots=True)
class Chain:
    """State of one assigned partition.

    ``landed`` is the first offset that storage lacks, ``position`` the next one expected from
    Kafka; what is held is exactly [landed, position). At most one request is under way: the next
    object's key depends on how the one before it ended.
    """

    partition: Partition
    phase: Phase = Phase.LOCATING
    generation: str = ""
    committed: int | None = None
    landed: int = 0
    last_start: int = 0
    position: int = 0
    held: list[Chunk] = field(default_factory=list)
    # Up to which offset there was something when (monotonic), of what is held; both ascend.
    arrivals: list[tuple[int, float]] = field(default_factory=list)
    sending: Put | None = None
    request: Request | None = None
    asked_at: float = 0.0
    failed: Failure | None = None
    leaving: bool = False
    relocate: bool = False
    described_at: float = 0.0  # when the topic's id was last known to be the generation
    short_looks: int = 0  # how often the log was found to end before the chain
    corrupt_looks: int = 0  # how often in a row storage's answer contradicted itself
    # After a seek the first record must continue the position, or the hole before it
    # be seen twice: it tells a marker or a compacted record from one that the client skipped.
    unproven: bool = True
    hole_end: int | None = None

    def size(self) -> int:
        """Return the bytes held, those being sent included."""
        return sum(len(chunk.blob) for chunk in self.chunks())

    def records(self) -> int:
        """Return the number of records held, those being sent included."""
        return sum(chunk.count for chunk in self.chunks())

    def chunks(self) -> list[Chunk]:
        """Return what is held in order, what is being sent first."""
        return [*(self.sending.chunks if self.sending else ()), *self.held]

    def since(self) -> float | None:
        """Return when the oldest offset held was received; None when nothing is held."""
        return self._since(self.landed)

    def unsent_since(self) -> float | None:
        """Return when the oldest offset held and not being sent was received; None without one."""
        return self._since(self.sending.next if self.sending else self.landed)

    def fail(self, error: str) -> None:
        """Note why the request under way, or the one just answered, came to nothing."""
        self.failed = Failure(self.failed.since if self.failed else self.asked_at, error)

    def failure(self, now: float) -> Failure | None:
        """Return what keeps this partition from being landed; None while nothing does."""
        if self.failed is None and self.request and now - self.asked_at >= _SILENT_S:
            return Failure(self.asked_at, f"{type(self.request).__name__}: no answer yet")
        return self.failed

    def has_unsent(self) -> bool:
        """Tell whether offsets are held beyond what is being sent."""
        return self.position > (self.sending.next if self.sending else self.landed)

    def add(self, chunk: Chunk, now: float) -> None:
        """Hold records that continue the position."""
        self.held.append(chunk)
        self.advance(chunk.last + 1, now)

    def advance(self, position: int, now: float) -> None:
        """Move the position; the offsets passed are covered by the next object."""
        self.position = position
        self.unproven, self.hole_end = False, None
        self.arrivals.append((position, now))

    def skips(self, offset: int) -> bool:
        """Tell whether the jump from the position to ``offset`` needs a second look first."""
        if not self.unproven or offset == self.position or offset == self.hole_end:
            return False
        self.hole_end = offset
        return True

    def take(self, limit: int) -> tuple[int, tuple[Chunk, ...]]:
        """Move held chunks of about ``limit`` bytes out; return where they end, and them."""
        count = size = 0
        while count < len(self.held) and size < limit:
            size += len(self.held[count].blob)
            count += 1
        taken, self.held = tuple(self.held[:count]), self.held[count:]
        return taken[-1].last + 1 if self.held else self.position, taken

    def continue_from(self, head: Head) -> bool:
        """Drop what ``head``'s object covers; return whether it reaches beyond the position."""
        rest = [chunk.since(head.next) for chunk in self.chunks()]
        self.held = [chunk for chunk in rest if chunk is not None]
        self.arrivals = [(end, at) for end, at in self.arrivals if end > head.next]
        self.sending = None
        self.landed, self.last_start = head.next, head.start
        ahead = head.next > self.position
        self.position = max(self.position, head.next)
        return ahead

    def drop(self) -> int:
        """Forget what is held; return how many records that were."""
        count = self.records()
        self.held, self.arrivals, self.sending = [], [], None
        self.position = self.landed
        return count

    def _since(self, offset: int) -> float | None:
        return next((at for end, at in self.arrivals if end > offset), None)
