"""The workers of a simulated lander: requests, their phases and their fates.

A PUT has four moments, each of which anything may come between: the topic's id is asked for, the
bytes leave, the store applies them, the answer arrives.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ingestion.land.protocol import (
    Answer,
    Corrupt,
    Describe,
    Described,
    Failed,
    Get,
    Got,
    Kind,
    List,
    Listed,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Request,
    Watermarks,
)

if TYPE_CHECKING:
    from drill.simulation.process import Process
    from drill.simulation.world import World

_HIT: Final = 0.7  # of the requests inside a fault's window
_AT_ONCE: Final = 0.8  # of the requests of a world without latency
_DAMAGED: Final = 3  # answers to one GET at most; more in a row than the core allows is a stall


class Fate(NamedTuple):
    """What becomes of a PUT: whether the store applies it, and what the client hears."""

    is_applied: bool
    heard: PutOutcome | None  # None: what the store says
    is_late: bool = False  # the store applies it after the client has heard


_FATES: Final = {
    "refused": Fate(False, PutOutcome.REFUSED),
    "store_down": Fate(False, PutOutcome.UNKNOWN),
    "timeout": Fate(False, PutOutcome.UNKNOWN),
    "conflict": Fate(False, PutOutcome.CONFLICT),
    "lost_ack": Fate(True, PutOutcome.UNKNOWN),
    "late_apply": Fate(True, PutOutcome.UNKNOWN, is_late=True),
    "own_412": Fate(True, PutOutcome.EXISTS),
}
_SOUND: Final = Fate(True, None)


class Workers:
    """What the driver sees as `ingestion.land.requests.Workers`."""

    def __init__(self, world: "World", process: "Process") -> None:
        self._world = world
        self._process = process
        self._answers: deque[Answer] = deque()

    def submit(self, request: Request) -> None:
        self._process.reach(type(request).__name__)
        if self._world.plan.latency_s == 0.0 and self._world.rng.random() < _AT_ONCE:
            self._start(request)
        else:
            self._later(self._start, request)

    def answer(self, timeout_s: float = 0.0) -> Answer | None:
        self._process.reach("answer")
        if not self._answers and timeout_s:
            self._process.block(timeout_s, lambda: bool(self._answers))
        return self._answers.popleft() if self._answers else None

    def _start(self, request: Request) -> None:
        if not self._process.runs(self._start, request):
            return
        if isinstance(request, Put):
            self._check(request)
        else:
            self._later(self._reply, self._query(request))

    def _query(self, request: Request) -> Answer:
        place = request.partition, request.request
        if failure := self._failure(request):
            self._world.count(f"{type(request).__name__} failed")
            return Failed(*place, failure, refused=failure == "refused")
        match request:
            case Describe():
                generation = self._world.logs.generation
                committed = self._world.group.committed(request.partition, generation)
                return Described(*place, generation, *committed)
            case List():
                store = self._world.store
                return Listed(*place, store.last(*place[:1], request.generation, request.since))
            case Get() if request.attempt < _DAMAGED and self._hits("gets_damaged"):
                self._world.count("GETs damaged")
                return Corrupt(*place, "gets_damaged")
            case Get():
                found = self._world.store.at(request.partition, request.generation, request.start)
                return Got(*place, found.head() if found else None)
            case _:
                return Watermarks(*place, *self._world.watermarks(request.partition))

    def _failure(self, request: Request) -> str:
        """Return why a question has no answer now; nothing where it has one."""
        of_kafka = isinstance(request, Describe | QueryWatermarks)
        kinds = ["kafka_down"] if of_kafka else ["reads_fail", "store_down", "refused"]
        if isinstance(request, Describe):
            kinds.append("coordinator_down")
        return next((kind for kind in kinds if self._hits(kind)), "")

    def _hits(self, kind: str) -> bool:
        is_on = self._world.is_on(kind, self._process.index)
        return is_on and self._world.rng.random() < _HIT

    # A PUT ------------------------------------------------------------------------------------

    def _check(self, put: Put) -> None:
        if self._hits("kafka_down"):
            self._later(self._reply, Failed(put.partition, put.request, "kafka_down"))
            return
        if self._world.generation_seen(put) != put.generation:
            self._world.count("PUTs of a deleted topic withheld")
            self._hear(put, PutOutcome.OTHER_GENERATION)
            return
        if not self._process.dies_at("checked"):
            self._later(self._send, put)

    def _send(self, put: Put) -> None:
        if not self._process.runs(self._send, put) or self._process.dies_at("before-put"):
            return
        self._process.sent(put)
        fate = next((fate for kind, fate in _FATES.items() if self._hits(kind)), _SOUND)
        self._world.count(f"PUT {self._name(fate)}", fate is not _SOUND)
        rng = self._world.rng
        if fate.is_late and fate.heard is not None:
            self._world.schedule.after(rng.uniform(3.0, 12.0), self._apply, put, fate)
            self._world.schedule.after(rng.uniform(0.5, 2.5), self._hear, put, fate.heard)
        elif fate.is_applied:
            self._later(self._apply, put, fate)
        elif fate.heard is not None:
            self._later(self._hear, put, fate.heard)

    def _apply(self, put: Put, fate: Fate) -> None:
        """Have the store apply a PUT, whether or not its sender still lives."""
        world = self._world
        outcome = world.store.put(put)
        if world.tracing:
            name = f"{put.partition} {put.start}-{put.next} {put.kind} #{put.request}"
            world.note(f"store: PUT {name} of L{self._process.index}: {outcome}")
        if outcome is PutOutcome.LANDED:
            world.count("objects")
            world.count("gaps", put.kind is Kind.GAP)
            world.count("PUTs of the dead applied", self._process.is_dead)
        if not self._process.dies_at("after-put") and not fate.is_late:
            self._later(self._hear, put, fate.heard or outcome)

    def _hear(self, put: Put, outcome: PutOutcome) -> None:
        self._reply(PutDone(put.partition, put.request, outcome, "simulated"))

    def _reply(self, answer: Answer) -> None:
        if not self._process.is_dead:
            self._answers.append(answer)

    def _later(self, do: Callable[..., None], *arguments: object) -> None:
        delay = self._world.latency() * (10.0 if self._hits("slow") else 1.0)
        if delay == 0.0 and self._world.rng.random() < _AT_ONCE:
            do(*arguments)
        else:
            self._world.schedule.after(delay, do, *arguments)

    def _name(self, fate: Fate) -> str:
        return next((kind for kind, one in _FATES.items() if one is fate), "sound")
