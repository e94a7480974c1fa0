"""A lander's process: the real driver and the real core, on simulated ends; it dies and freezes."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from drill.simulation import describe
from drill.simulation.client import Consumer
from drill.simulation.group import SESSION_S
from drill.simulation.workers import Workers
from ingestion.land.counts import Counts
from ingestion.land.protocol import Action, Alarm, Event, Put, Tick
from ingestion.land.service import STOP_DEADLINE_S, Lander

if TYPE_CHECKING:
    from drill.simulation.world import World
    from ingestion.land.failpoints import Failpoint
    from ingestion.land.member import Member
    from ingestion.land.requests import Workers as RealWorkers
    from ingestion.land.status import StatusFile

_ROUND_S: Final = (0.1, 0.6)


class Crashed(Exception):  # noqa: N818 - it ends the process, as SIGKILL does
    """Unwinds the stack of a process that is no more."""


class Process:
    """Runs a lander round by round; every call out of the driver is a place to die at."""

    def __init__(self, world: "World", index: int) -> None:
        self.index = index
        self.is_dead = False
        self.is_stopping = False
        self.armed = ""
        self.consumer = Consumer(world, self)
        self.lander = SimulatedLander(world, self)
        self._world = world
        self._restart_s = 0.0
        self._frozen = False
        self._after_thaw: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()

    def start(self) -> None:
        """Join the group and begin with the rounds."""
        self.lander.join()
        self._world.schedule.after(self._world.rng.uniform(0.0, 0.3), self._round)

    # What happens to it -----------------------------------------------------------------------

    def arm(self, point: str, restart_s: float) -> None:
        """Have it die where it next comes to ``point``, or soon anyway."""
        self.armed, self._restart_s = point, restart_s
        self._world.schedule.after(4.0, self._die_if_armed, point)

    def die(self) -> None:
        """Kill it; its memory is gone, what it has sent is not."""
        if self.is_dead:
            return
        self._world.count("crashes")
        self._world.note(f"L{self.index} dies at {self.armed or 'once'}")
        self._end()

    def freeze(self, span: float) -> None:
        """Stop the whole process for a while, as SIGSTOP does."""
        if self.is_dead or self._frozen:
            return
        self._frozen = True
        self._world.count("freezes")
        self._silence()
        self._world.schedule.after(span, self.thaw)

    def thaw(self) -> None:
        """Let a frozen process go on where it was."""
        self._frozen = False
        if self.is_dead or self.consumer.member is None:
            return
        if not self.consumer.member.is_isolated:
            self._world.group.contact(self.consumer.member)
        while self._after_thaw and not self._frozen:
            do, arguments = self._after_thaw.popleft()
            do(*arguments)

    def isolate(self, span: float) -> None:
        """Cut it off from the coordinator alone: it reads and writes on."""
        if self.is_dead or self.consumer.member is None:
            return
        self._world.count("isolations")
        self.consumer.member.is_isolated = True
        # A new coordinator may not know a member that the one before it has heard.
        self._silence(self._world.rng.choice((0.5, SESSION_S)))
        self._world.schedule.after(span, self.reconnect)

    def reconnect(self) -> None:
        """End an isolation."""
        member = self.consumer.member
        if self.is_dead or member is None or not member.is_isolated:
            return
        member.is_isolated = False
        if not self._frozen:
            self._world.group.contact(member)

    def stop(self, restart_s: float) -> None:
        """Ask it to end in peace, as SIGTERM does."""
        self.is_stopping, self._restart_s = True, restart_s

    # What its parts ask -----------------------------------------------------------------------

    def reach(self, point: str) -> None:
        """Come to a place in the driver.

        Raises:
            Crashed: this is where it dies, or it died while it was blocked.
        """
        if self.armed == point and not self.is_dead:
            self._world.count(f"crash at {point}")
            self.die()
        if self.is_dead:
            raise Crashed

    def dies_at(self, point: str) -> bool:
        """Tell whether the process dies here, in one of its worker threads."""
        if self.armed == point and not self.is_dead:
            self._world.count(f"crash at {point}")
            self.die()
        return self.is_dead

    def runs(self, do: Callable[..., None], *arguments: Any) -> bool:  # noqa: ANN401
        """Tell whether its threads run; a frozen one takes ``do`` up again after the thaw."""
        if self._frozen:
            self._after_thaw.append((do, arguments))
        return not self._frozen and not self.is_dead

    def block(self, timeout_s: float, is_over: Callable[[], bool]) -> None:
        """Let the world go on until ``is_over``, for ``timeout_s`` at most.

        Raises:
            Crashed: it died meanwhile.
        """
        schedule = self._world.schedule
        deadline = schedule.now + timeout_s
        schedule.run(deadline, lambda: self.is_dead or (is_over() and not self._frozen))
        while self._frozen and not self.is_dead:
            schedule.run(schedule.now + 1.0, lambda: self.is_dead or not self._frozen)
        if self.is_dead:
            raise Crashed

    def sent(self, put: Put) -> None:
        """Count a PUT that leaves a lander whom the group does not hold for the owner."""
        member = self.consumer.member
        is_zombie = member is None or not self._world.group.owns(member, put.partition)
        self._world.count("PUTs of zombies", is_zombie)

    # ------------------------------------------------------------------------------------------

    def _round(self) -> None:
        if not self.runs(self._round) or self._world.is_over:
            return
        try:
            self.reach("round")
            if self.is_stopping:
                self.lander.leave()
                self.consumer.close()
                self._world.count("graceful stops")
                self._end()
            self.lander.step()
        except Crashed:
            return
        self._world.schedule.after(self._world.rng.uniform(*_ROUND_S), self._round)

    def _end(self) -> None:
        self.is_dead = True
        self._silence()
        self._world.schedule.after(self._restart_s, self._world.restart, self.index)

    def _die_if_armed(self, point: str) -> None:
        if self.armed == point:
            self.die()

    def _silence(self, session_s: float = SESSION_S) -> None:
        if self.consumer.member is not None and not self.consumer.member.is_expelled:
            self._world.group.silence(self.consumer.member, session_s)


class SimulatedLander(Lander):
    """The product's driver, with its ends replaced and its events told to the trace."""

    def __init__(self, world: "World", process: Process) -> None:
        super().__init__(
            world.core(),
            cast("Member", process.consumer),
            cast("RealWorkers", Workers(world, process)),
            cast("StatusFile", Status()),
            world.clock,
            cast("Failpoint", process),
            world.backoff,
        )
        self._log: Any = Silence()
        self._world = world
        self._process = process

    def join(self) -> None:
        """Do what `run` does first."""
        self._member.subscribe([], self._assigned, self._revoked, self._lost)

    def leave(self) -> None:
        """Do what `run` does last."""
        self._leave(tuple(self.core.chains), STOP_DEADLINE_S)

    def dispatch(self, event: Event) -> None:
        if self._world.tracing and not isinstance(event, Tick):
            self._world.note(f"L{self._process.index} <- {describe.line(event)}")
        super().dispatch(event)

    def _do(self, action: Action) -> None:
        if self._world.tracing:
            self._world.note(f"L{self._process.index} -> {describe.line(action)}")
        super()._do(action)

    def _raise_alarm(self, alarm: Alarm) -> None:
        self._world.count(f"alarm {alarm.code}")
        if alarm.code == "stalled":
            self._world.checks.stalled(alarm.partition, alarm.detail)


class Silence:
    """A log that nobody reads."""

    def info(self, event: str, **fields: object) -> None: ...
    def warning(self, event: str, **fields: object) -> None: ...
    def error(self, event: str, **fields: object) -> None: ...


class Status:
    """The status file, unwritten."""

    def __init__(self) -> None:
        self.counts = Counts(0.0)

    def is_due(self) -> bool:
        return False
