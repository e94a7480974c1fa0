"""Carries the plan's faults out on the world."""

from typing import TYPE_CHECKING

from drill.simulation.log import Log
from drill.simulation.plan import WINDOWS, Fault
from ingestion.land.protocol import Commit, Partition

if TYPE_CHECKING:
    from drill.simulation.process import Process
    from drill.simulation.world import World


class Faults:
    """Windows that are open for a while, and things that happen once."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._open: dict[str, list[tuple[float, int]]] = {}
        self._stale: dict[tuple[Partition, str], tuple[int, int]] = {}

    def begin(self, fault: Fault) -> None:
        """Let a fault of the plan happen."""
        self._world.note(f"fault: {fault.kind} {fault.point} #{fault.target} {fault.span:.2f} s")
        if fault.kind in WINDOWS:
            self._world.count(f"window {fault.kind}")
            until = self._world.schedule.now + fault.span
            self._open.setdefault(fault.kind, []).append((until, fault.target))
            if fault.kind == "watermarks_stale":
                self._remember()
        else:
            getattr(self, f"_{fault.kind}")(fault)

    def end(self) -> None:
        """Close every window."""
        self._open = {}

    def is_on(self, kind: str, index: int | None) -> bool:
        """Tell whether a window is open, for one lander or for any."""
        windows = self._open.get(kind)
        if not windows:
            return False
        now, landers = self._world.schedule.now, self._world.plan.landers
        return any(
            now < until and (index is None or target in (index, landers))
            for until, target in windows
        )

    def watermarks(self, log: Log) -> tuple[int, int]:
        """Return what a broker says: the truth, an earlier one, or a new leader's."""
        if self.is_on("watermarks_stale", None):
            self._world.count("stale watermarks")
            return self._stale.get((log.partition, log.generation), (log.low, log.high))
        if self.is_on("high_lower", None):
            self._world.count("lower high watermarks")
            return log.low, max(log.low, log.high - self._world.rng.randint(1, 6))
        return log.low, log.high

    def _remember(self) -> None:
        for log in self._world.logs.of.values():
            self._stale[log.partition, log.generation] = log.low, log.high

    # Moments ----------------------------------------------------------------------------------

    def _crash(self, fault: Fault) -> None:
        self._process(fault).arm(fault.point, fault.span)

    def _freeze(self, fault: Fault) -> None:
        self._process(fault).freeze(fault.span)

    def _isolate(self, fault: Fault) -> None:
        self._process(fault).isolate(fault.span)

    def _stop(self, fault: Fault) -> None:
        self._process(fault).stop(fault.span)

    def _rebalance(self, _: Fault) -> None:
        self._world.group.rebalance()

    def _redeliver(self, fault: Fault) -> None:
        self._world.count("redeliveries")
        self._process(fault).consumer.redeliver(self._world.rng.randint(1, 12))

    def _retention(self, fault: Fault) -> None:
        log = self._log(fault)
        if log.high > log.low:
            self._world.count("retentions")
            log.retain(self._world.rng.randint(log.low + 1, log.high))

    def _compact(self, fault: Fault) -> None:
        log = self._log(fault)
        offsets = [record.offset for record in log.records]
        if offsets:
            self._world.count("compactions")
            log.compact(set(self._world.rng.sample(offsets, (len(offsets) + 1) // 2)))

    def _recreate(self, _: Fault) -> None:
        world = self._world
        world.count("topics re-created")
        before = {partition: log.high for partition, log in world.logs.of.items()}
        world.logs.recreate()
        for partition in world.logs.partitions:
            # As many as there were: whoever reads on from where it was sees nothing new.
            count = before[partition] if world.rng.random() < 0.3 else world.rng.randint(0, 12)
            world.logs.append(partition, count, 0)
            if world.rng.random() < 0.5:  # the offset of the old topic may stay
                world.schedule.after(world.rng.uniform(0.0, 4.0), world.group.forget, partition)

    def _truncate(self, fault: Fault) -> None:
        log = self._log(fault)
        self._world.count("truncations")
        log.truncate(log.high - self._world.rng.randint(1, 4))

    def _foreign_commit(self, fault: Fault) -> None:
        """Have somebody else set the group's offset, beyond what is in storage."""
        log, world = self._log(fault), self._world
        world.count("foreign commits")
        offset = world.checks.end(log.partition, log.generation) + world.rng.randint(1, 9)
        world.group.reset(Commit(log.partition, log.generation, offset, offset - 1))

    def _wall_jump(self, fault: Fault) -> None:
        self._world.count("wall clock jumps")
        self._world.clock.jump(self._world.rng.uniform(-7200.0, 7200.0))

    def _burst(self, fault: Fault) -> None:
        self._world.count("bursts")
        log = self._log(fault)
        self._world.logs.append(log.partition, self._world.rng.randint(15, 40), 0)

    def _process(self, fault: Fault) -> "Process":
        return self._world.processes[fault.target % self._world.plan.landers]

    def _log(self, fault: Fault) -> Log:
        partitions = self._world.logs.partitions
        return self._world.logs.of[partitions[fault.target % len(partitions)]]
