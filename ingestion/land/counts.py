"""What a lander has counted since it started, by partition, and how fast that was lately."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ingestion.land.lines import Chunk
from ingestion.land.protocol import Partition

RATE_WINDOW_S: Final = 10.0  # an object closes every 2 s: a shorter window shows bursts and zeros


@dataclass(slots=True)
class Count:
    """One partition; bytes are those of bronze lines, before compression."""

    received_records: int = 0
    received_bytes: int = 0
    landed_records: int = 0
    landed_bytes: int = 0
    landed_objects: int = 0


class Rate(NamedTuple):
    """Records a second."""

    received: float = 0.0
    landed: float = 0.0


class Counts:
    """Counters that only grow; a partition that left keeps what was counted of it."""

    def __init__(self, now: float) -> None:
        self.by_partition: dict[Partition, Count] = {}
        self._past: deque[tuple[float, dict[Partition, tuple[int, int]]]] = deque([(now, {})])

    def received(self, partition: Partition, chunk: Chunk) -> None:
        """Count what came from Kafka."""
        count = self.by_partition.setdefault(partition, Count())
        count.received_records += chunk.count
        count.received_bytes += len(chunk.blob)

    def landed(self, partition: Partition, chunks: Iterable[Chunk]) -> None:
        """Count an object that this lander wrote."""
        count = self.by_partition.setdefault(partition, Count())
        count.landed_objects += 1
        for chunk in chunks:
            count.landed_records += chunk.count
            count.landed_bytes += len(chunk.blob)

    def rates(self, now: float) -> dict[Partition, Rate]:
        """Return each partition's rates since about `RATE_WINDOW_S` before ``now``."""
        while len(self._past) > 1 and now - self._past[1][0] >= RATE_WINDOW_S:
            self._past.popleft()
        then, before = self._past[0]
        seconds = max(now - then, 1e-3)
        counted = {p: (c.received_records, c.landed_records) for p, c in self.by_partition.items()}
        self._past.append((now, counted))
        return {p: _rate(before.get(p, (0, 0)), after, seconds) for p, after in counted.items()}

    @property
    def objects(self) -> int:
        """Objects written over all partitions."""
        return sum(count.landed_objects for count in self.by_partition.values())

    @property
    def records(self) -> int:
        """Records in them."""
        return sum(count.landed_records for count in self.by_partition.values())


def _rate(before: tuple[int, int], after: tuple[int, int], seconds: float) -> Rate:
    received, landed = (round((b - a) / seconds, 1) for a, b in zip(before, after, strict=True))
    return Rate(received, landed)
