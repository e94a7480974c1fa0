"""The consumer that a simulated lander reads with: what librdkafka does, its worst days included.

A batch is handed over at most once after the seek or pause that should have discarded it, and
never after a seek into another generation of the topic.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drill.simulation.group import Member
from drill.simulation.log import Log, Record, chunk
from ingestion.land.protocol import (
    Commit,
    EndOfPartition,
    Event,
    Partition,
    PositionLost,
    Records,
)

if TYPE_CHECKING:
    from drill.simulation.process import Process
    from drill.simulation.world import World

_PREFETCH: Final = 0.5
Rebalance = Callable[[tuple[Partition, ...]], None]


@dataclass(slots=True)
class Reading:
    """One assigned partition inside the client."""

    position: int = 0  # the next offset to be handed over
    buffered: list[Record] | None = None  # fetched from `position` on
    generation: str = ""
    late: list[Record] | None = None  # should have been discarded, and was not
    is_paused: bool = True
    is_refused: bool = False
    told_end: int = -1


class Consumer:
    """A member of the group, reading; the driver sees it as `ingestion.land.member.Member`."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._readings: dict[Partition, Reading] = {}
        self._callbacks: tuple[Rebalance, Rebalance, Rebalance] | None = None
        self.member: Member | None = None

    def subscribe(
        self, topics: list[str], assigned: Rebalance, revoked: Rebalance, lost: Rebalance
    ) -> None:
        self._callbacks = assigned, revoked, lost
        self._join()

    def close(self) -> None:
        if self.member is not None and not self.member.is_expelled:
            self._world.group.leave(self.member)

    def consume(self, timeout_s: float) -> list[Event]:
        """Serve the group, then hand over what there is; sometimes the other way round."""
        self._process.reach("consume")
        found: list[Event] = []
        is_early = self._world.is_on("unowned", self._process.index)
        if is_early:
            found = self._deliver()
        if self.member is not None:
            self._world.group.serve(self.member)
        if is_early:
            gone = [e for e in found if isinstance(e, Records) and self._is_gone(e.partition)]
            self._world.count("batches of partitions not owned", len(gone))
            return found
        return self._deliver()

    def events(self, messages: Iterable[Event]) -> Iterable[Event]:
        return messages

    def known_end(self, partition: Partition) -> int | None:
        return None

    def seek(self, partition: Partition, offset: int) -> None:
        self._process.reach("seek")
        reading = self._readings.get(partition)
        if reading is None:
            return
        self._discard(partition, reading)
        reading.position, reading.told_end = offset, -1
        reading.is_paused = reading.is_refused = False

    def pause(self, partition: Partition) -> None:
        self._process.reach("pause")
        self._world.count("pauses")
        reading = self._readings.get(partition)
        if reading is None:
            return
        skipped = reading.buffered
        self._discard(partition, reading)
        reading.is_paused = True
        if skipped and self._world.is_on("skip_after_pause", self._process.index):
            self._world.count("skips after a pause")
            reading.position = skipped[-1].offset + 1

    def commit(self, commits: Iterable[Commit]) -> None:
        self._process.reach("commit")
        for one in commits:
            if self.member is not None:
                self._world.group.commit(self.member, one)
        self._process.reach("committed")

    def redeliver(self, back: int) -> None:
        """Read some records again without having been told to."""
        for partition, reading in self._readings.items():
            log = self._world.logs.of[partition]
            reading.buffered = None
            if log.low <= reading.position:
                reading.position = max(log.low, reading.position - back)

    # What the coordinator calls ---------------------------------------------------------------

    def assign(self, partitions: tuple[Partition, ...]) -> None:
        for partition in partitions:
            self._readings[partition] = Reading()
        self._tell(0, partitions)
        self._process.reach("assigned")

    def revoke(self, partitions: tuple[Partition, ...]) -> None:
        self._tell(1, partitions)
        for partition in partitions:
            self._readings.pop(partition, None)

    def lose(self) -> None:
        if self._readings:
            self._world.count("partitions lost", len(self._readings))
            self._tell(2, tuple(self._readings))
        self._readings = {}
        self._join()

    # Reading ----------------------------------------------------------------------------------

    def _join(self) -> None:
        self.member = self._world.group.join(self._process.index, self)

    def _tell(self, which: int, partitions: tuple[Partition, ...]) -> None:
        if self._callbacks is not None:
            self._callbacks[which](partitions)

    def _is_gone(self, partition: Partition) -> bool:
        return partition not in self._readings

    def _discard(self, partition: Partition, reading: Reading) -> None:
        kept, reading.buffered, reading.late = reading.buffered, None, None
        same = reading.generation == self._world.logs.generation
        if kept and same and self._world.is_on("buffered", self._process.index):
            reading.late = kept

    def _deliver(self) -> list[Event]:
        found: list[Event] = []
        for partition, reading in self._readings.items():
            if reading.late:
                self._world.count("batches after a seek or pause")
                found.append(Records(partition, chunk(reading.late)))
                reading.late = None
            if not reading.is_paused and not reading.is_refused:
                found += self._read(partition, reading)
        return found

    def _read(self, partition: Partition, reading: Reading) -> list[Event]:
        log, rng = self._world.logs.of[partition], self._world.rng
        records, reading.buffered = reading.buffered, None
        if records is None:
            if self._world.is_on("kafka_down", self._process.index):
                return []
            if not log.low <= reading.position <= log.high:
                reading.is_refused = True
                return [PositionLost(partition, f"{reading.position} is out of range")]
            records = log.read(reading.position, rng.randint(1, 8))
        if not records:
            return self._end(partition, reading, log)
        reading.position = records[-1].offset + 1
        if rng.random() < _PREFETCH and log.low <= reading.position:
            reading.buffered = log.read(reading.position, rng.randint(1, 4)) or None
            reading.generation = log.generation
        return [Records(partition, chunk(records))]

    def _end(self, partition: Partition, reading: Reading, log: Log) -> list[Event]:
        reading.position = log.high
        if reading.told_end == log.high:
            return []
        reading.told_end = log.high
        return [EndOfPartition(partition, log.high)]
