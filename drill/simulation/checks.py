"""What must hold, judged from the store's and Kafka's own histories; shares no code with the core.

Every write and every commit is judged when it happens, so that a violation names its moment.
"""

import re
from typing import Final

from drill.simulation.log import Log, Logs
from drill.simulation.store import Key, Object, Store
from ingestion.land.protocol import Kind, Partition

_LINE: Final = re.compile(rb'\{"offset":(\d+),.*?"value":(\d+)\}\n')


class Violation(Exception):  # noqa: N818 - it is a finding, not an error of the program
    """An invariant does not hold."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


class Checks:
    """I2 to I5 at every step; the liveness of I9 at the end."""

    def __init__(self, logs: Logs, store: Store) -> None:
        self._logs = logs
        self._store = store
        self._ends: dict[tuple[Partition, str], int] = {}

    def end(self, partition: Partition, generation: str) -> int:
        """Return the first offset that storage lacks, by walking the chain on."""
        place = partition, generation
        end = self._ends.get(place, 0)
        while (found := self._store.at(partition, generation, end)) is not None:
            end = found.next
        self._ends[place] = end
        return end

    def stored(self, key: Key, new: Object, old: Object | None) -> None:
        """Judge an object that the store has just written."""
        name = f"{key[0]} g={key[1][-4:]} [{new.start}, {new.next}) {new.kind}"
        if old is not None:
            raise Violation("I3", f"{name} replaced [{old.start}, {old.next})")
        if new.start != (end := self._ends.get(key[:2], 0)) or new.next <= new.start:
            raise Violation("I2", f"{name} while the chain ends at {end}")
        self._contents(name, self._logs.history[key[:2]], new)
        self.end(key[0], key[1])

    def committed(self, partition: Partition, generation: str, offset: int) -> None:
        """Judge the group's offset, just committed."""
        end = self.end(partition, generation)
        if offset > end:
            raise Violation("I4", f"{partition} committed {offset}, the chain ends at {end}")

    def stalled(self, partition: Partition, detail: str) -> None:
        """Judge a lander that gave a partition up."""
        if not any(
            log.is_truncated for (p, _), log in self._logs.history.items() if p == partition
        ):
            raise Violation("I9", f"{partition} stalled though no log was truncated: {detail}")

    def is_landed(self) -> bool:
        """Tell whether every log is in storage to its end."""
        return all(
            self.end(partition, log.generation) >= log.high or log.is_truncated
            for partition, log in self._logs.of.items()
        )

    def finished(self) -> None:
        """Judge the end: everything landed, and the whole store once more from its beginning."""
        for partition, log in self._logs.of.items():
            end = self.end(partition, log.generation)
            if end != log.high and not log.is_truncated:
                raise Violation("I9", f"{partition} landed to {end}, the log ends at {log.high}")
        for place, log in self._logs.history.items():
            self._whole(place, log)

    def _whole(self, place: tuple[Partition, str], log: Log) -> None:
        objects = sorted(o for key, o in self._store.objects.items() if key[:2] == place)
        end = 0
        for one in objects:
            if one.start != end:
                raise Violation("I2", f"{place[0]}: [{one.start}, {one.next}) after {end}")
            end = one.next
        if end > log.high and not log.is_truncated:
            raise Violation("I5", f"{place[0]} landed to {end}, the log ends at {log.high}")

    def _contents(self, name: str, log: Log, new: Object) -> None:
        found = [(int(offset), int(id_)) for offset, id_ in _LINE.findall(new.body)]
        offsets = [offset for offset, _ in found]
        if len(found) != new.records or new.body.count(b"\n") != new.records:
            raise Violation("I5", f"{name} says {new.records} records, has {len(found)}")
        if offsets != sorted(set(offsets)):
            raise Violation("I5", f"{name} has offsets {offsets}")
        if offsets and not new.start <= offsets[0] <= offsets[-1] < new.next:
            raise Violation("I5", f"{name} has records outside of it: {offsets}")
        if foreign := [pair for pair in found if pair[1] not in log.ever.get(pair[0], ())]:
            raise Violation("I5", f"{name} has records that the log never had: {foreign}")
        self._missing(name, log, new, set(offsets))

    def _missing(self, name: str, log: Log, new: Object, offsets: set[int]) -> None:
        """Judge what the interval has in the log and the object has not."""
        if new.next > log.high and not log.is_truncated:
            raise Violation("I5", f"{name} ends beyond the log at {log.high}")
        for offset in range(new.start, new.next):
            if offset in offsets or offset not in log.ever or offset in log.compacted:
                continue
            # Retention may only be jumped by an object that says so.
            if (new.kind is Kind.GAP and offset < log.low) or log.is_truncated:
                continue
            raise Violation("I5", f"{name} lacks the record at {offset}")
