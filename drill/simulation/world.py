"""One world: a plan carried out in virtual time, every step of it judged."""

import random
from collections import Counter
from typing import Final

from drill.simulation.checks import Checks
from drill.simulation.faults import Faults
from drill.simulation.group import Group
from drill.simulation.log import Logs
from drill.simulation.mutants import Rules
from drill.simulation.plan import FAULTS_END_S, Plan
from drill.simulation.process import Process
from drill.simulation.schedule import Schedule, SimulatedClock
from ingestion.land.core import Core
from ingestion.land.protocol import Partition, Put
from ingestion.land.requests import delay_s

LIVENESS_S: Final = 90.0  # from the end of the faults to the last record in storage


class World:
    """Everything there is, and the dice."""

    def __init__(self, plan: Plan, rng: random.Random, rules: Rules, tracing: bool = False) -> None:
        self.plan = plan
        self.rng = rng
        self.tracing = tracing
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self.is_over = False
        self.schedule = Schedule()
        self.clock = SimulatedClock(self.schedule)
        self.logs = Logs(plan.partitions)
        self.store = rules.store()
        self.checks = Checks(self.logs, self.store)
        self.store.observe = self.checks.stored
        self.group = Group(self)
        self.faults = Faults(self)
        self._rules = rules
        self.processes = [Process(self, index) for index in range(plan.landers)]

    def run(self) -> None:
        """Carry the plan out, heal, and wait for everything to land.

        Raises:
            Violation: an invariant does not hold.
        """
        for process in self.processes:
            process.start()
        for _ in range(self.plan.appends):
            self.schedule.after(self.rng.uniform(0.1, FAULTS_END_S), self._append)
        for fault in self.plan.faults:
            self.schedule.after(fault.at, self.faults.begin, fault)
        self.schedule.run(FAULTS_END_S)
        self._heal()
        deadline = self.schedule.now + LIVENESS_S
        while not self.checks.is_landed() and self.schedule.now < deadline:
            self.schedule.run(self.schedule.now + 1.0)
        self.is_over = True
        self.schedule.drain()  # what the dead have sent may still be applied
        self.checks.finished()

    def core(self) -> Core:
        """Return the core of a process that starts."""
        return self._rules.core(self.plan.limits)

    def restart(self, index: int) -> None:
        """Start a process in the place of one that ended."""
        if not self.is_over:
            self.note(f"L{index} starts")
            self.processes[index] = Process(self, index)
            self.processes[index].start()

    def is_on(self, kind: str, index: int | None = None) -> bool:
        """Tell whether a fault's window is open for a lander."""
        return self.faults.is_on(kind, index)

    def latency(self) -> float:
        """Draw the time that one message takes."""
        ceiling = self.plan.latency_s
        return ceiling * self.rng.random() if ceiling else 0.0

    def backoff(self, attempt: int) -> float:
        """Draw the driver's own delay before an attempt, from this world's dice."""
        return delay_s(attempt, self.rng.uniform)

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        """Return what a broker says about a log."""
        return self.faults.watermarks(self.logs.of[partition])

    def generation_seen(self, put: Put) -> str:
        """Return the topic's id, as asked for before a PUT."""
        return self._rules.generation(self.logs.generation, put)

    def count(self, what: str, how_often: int = 1) -> None:
        """Count something that happened: the proof that a fault does occur."""
        if how_often:
            self.counts[what] += how_often

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        if self.tracing:
            self.trace.append(f"{self.schedule.now:8.3f}  {text}")

    def _append(self, most: int = 6) -> None:
        partition = self.rng.choice(self.logs.partitions)
        markers = self.rng.choice((0, 0, 1, 2))
        self.logs.append(partition, self.rng.randint(0 if markers else 1, most), markers)

    def _heal(self) -> None:
        self.note("all faults end")
        self.faults.end()
        for partition in self.logs.partitions:
            self.logs.append(partition, self.rng.choice((0, 2)), 0)
        for process in self.processes:
            process.thaw()
            process.reconnect()
