"""Kafka's side of the world: one partition's log, and all that it ever held."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from ingestion.land.lines import Chunk
from ingestion.land.protocol import Partition

STAMP = 1_700_000_000_000


class Record(NamedTuple):
    """One record; its value is its id, which is unique in a world."""

    offset: int
    id: int

    def line(self) -> bytes:
        """Return its bronze line, as `ingestion.land.lines.encode` writes it."""
        return b'{"offset":%d,"timestamp":%d,"key":null,"headers":[],"value":%d}\n' % (
            self.offset,
            STAMP,
            self.id,
        )


def chunk(records: list[Record]) -> Chunk:
    """Return the lines of records, joined."""
    blob = b"".join([record.line() for record in records])
    return Chunk(blob, records[0].offset, records[-1].offset, len(records), STAMP, STAMP)


@dataclass(slots=True)
class Log:
    """One generation of one partition: what can be read now, and what ever could."""

    partition: Partition
    generation: str
    records: list[Record] = field(default_factory=list)
    low: int = 0
    high: int = 0
    ever: dict[int, set[int]] = field(default_factory=dict)  # offset: ids that stood there
    compacted: set[int] = field(default_factory=set)
    is_truncated: bool = False

    def append(self, first_id: int, count: int, markers: int) -> None:
        """Append records, and the markers of the transaction that wrote them."""
        for number in range(count):
            record = Record(self.high + number, first_id + number)
            self.records.append(record)
            self.ever.setdefault(record.offset, set()).add(record.id)
        self.high += count + markers

    def read(self, offset: int, limit: int) -> list[Record]:
        """Return at most ``limit`` records from ``offset`` on."""
        start = bisect_left(self.records, (offset,))
        return self.records[start : start + limit]

    def retain(self, low: int) -> None:
        """Remove what lies before ``low``."""
        self.low = max(self.low, low)
        self.records = self.records[bisect_left(self.records, (self.low,)) :]

    def compact(self, offsets: set[int]) -> None:
        """Remove these; the offsets stay holes for ever."""
        self.compacted |= {record.offset for record in self.records} & offsets
        self.records = [record for record in self.records if record.offset not in offsets]

    def truncate(self, high: int) -> None:
        """Lose the end of the log, as an unclean election does; offsets are used again."""
        self.is_truncated = True
        self.high = max(self.low, high)
        self.records = [record for record in self.records if record.offset < self.high]


class Logs:
    """The logs of all partitions, those of deleted topics among them."""

    def __init__(self, partitions: int) -> None:
        self.partitions = [Partition("ticks", number) for number in range(partitions)]
        self.of: dict[Partition, Log] = {}
        self.history: dict[tuple[Partition, str], Log] = {}
        self.generation = ""
        self._generations = 0
        self._ids = 0
        self.recreate()

    def recreate(self) -> None:
        """Delete the topic and create it again: all of its partitions begin anew."""
        self._generations += 1
        self.generation = f"{self._generations:032x}"
        for partition in self.partitions:
            self.of[partition] = Log(partition, self.generation)
            self.history[partition, self.generation] = self.of[partition]

    def append(self, partition: Partition, count: int, markers: int) -> None:
        """Append records whose ids no other record has."""
        self.of[partition].append(self._ids, count, markers)
        self._ids += count
