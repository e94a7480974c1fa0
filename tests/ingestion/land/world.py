"""A simulated world for the protocol core: one broker, one store, any number of landers."""

from dataclasses import dataclass, field

from ingestion.land import lines
from ingestion.land.core import Core, Limits
from ingestion.land.protocol import (
    Action,
    Alarm,
    Answer,
    Assigned,
    Commit,
    Describe,
    Described,
    EndOfPartition,
    Event,
    Failed,
    Get,
    Got,
    Head,
    List,
    Listed,
    Partition,
    Pause,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Records,
    Request,
    Seek,
    Tick,
    Watermarks,
)

GENERATION = "a" * 32
P0 = Partition("stock-quotes", 0)
P1 = Partition("stock-quotes", 1)
LIMITS = Limits(max_bytes=10_000, max_age_s=2.0, budget_bytes=40_000, pause_after_s=0.5)


@dataclass(frozen=True)
class FakeMessage:
    """A Kafka message as the client hands it over."""

    at: int
    payload: bytes | None = b"{}"
    name: bytes | None = b"AAPL"
    pairs: tuple[tuple[str, bytes | None], ...] = ()
    stamp: int = 1_700_000_000_000

    def offset(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.stamp

    def key(self) -> bytes | None:
        return self.name

    def value(self) -> bytes | None:
        return self.payload

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.pairs) or None


def chunk(*offsets: int, payload: bytes = b"{}") -> lines.Chunk:
    """Return the lines of records at these offsets."""
    return lines.encode([FakeMessage(offset, payload) for offset in offsets])


@dataclass
class Log:
    """One partition's log: records at some offsets of [low, high), markers at the others."""

    offsets: list[int] = field(default_factory=list)
    low: int = 0
    high: int = 0
    generation: str = GENERATION
    committed: int | None = None
    hint: int | None = None

    def append(self, count: int, markers: int = 0) -> None:
        self.offsets += range(self.high, self.high + count)
        self.high += count + markers


Key = tuple[Partition, str, int]


@dataclass
class World:
    """What exists outside the landers, and how it answers them."""

    logs: dict[Partition, Log] = field(default_factory=lambda: {P0: Log()})
    objects: dict[Key, tuple[Head, tuple[lines.Chunk, ...]]] = field(default_factory=dict)
    puts: int = 0

    def perform(self, request: Request) -> Answer:
        place = request.partition, request.request
        log = self.logs[request.partition]
        match request:
            case Describe():
                return Described(*place, log.generation, log.committed, log.hint)
            case List():
                return Listed(*place, self._last(request))
            case Get():
                stored = self.objects.get((request.partition, request.generation, request.start))
                return Got(*place, stored[0] if stored else None)
            case QueryWatermarks():
                return Watermarks(*place, log.low, log.high)
            case Put():
                return PutDone(*place, self._put(request))

    def landed(self, partition: Partition = P0) -> list[int]:
        """Return the offsets of the records in storage, along the chain."""
        return [
            lines.parse(line).offset
            for head, chunks in self.chain(partition)
            for one in chunks
            for line in lines.split(one.blob)
        ]

    def end(self, partition: Partition = P0) -> int:
        """Return the first offset that storage lacks."""
        return max((head.next for head, _ in self.chain(partition)), default=0)

    def chain(self, partition: Partition = P0) -> list[tuple[Head, tuple[lines.Chunk, ...]]]:
        """Return the objects of the current generation in order; they must form one chain."""
        generation = self.logs[partition].generation
        keys = sorted(k for k in self.objects if k[:2] == (partition, generation))
        found = [self.objects[key] for key in keys]
        ends = [0, *(head.next for head, _ in found)]
        assert [head.start for head, _ in found] == ends[:-1], "gap or overlap in the chain"
        return found

    def _last(self, query: List) -> int | None:
        starts = [start for p, g, start in self.objects if (p, g) == query_of(query)]
        return max((start for start in starts if start >= query.since), default=None)

    def _put(self, put: Put) -> PutOutcome:
        if put.generation != self.logs[put.partition].generation:
            return PutOutcome.OTHER_GENERATION
        key = (put.partition, put.generation, put.start)
        if key in self.objects:
            return PutOutcome.EXISTS
        count = sum(one.count for one in put.chunks)
        head = Head(put.start, put.next, count, "", put.kind)
        self.objects[key] = (head, put.chunks)
        self.puts += 1
        return PutOutcome.LANDED


def query_of(query: List) -> tuple[Partition, str]:
    return query.partition, query.generation


@dataclass
class Lander:
    """A core in the world: carries out its actions, one at a time, when told to."""

    world: World
    core: Core = field(default_factory=lambda: Core(LIMITS))
    now: float = 0.0
    requests: list[Request] = field(default_factory=list)
    reads: dict[Partition, int] = field(default_factory=dict)
    paused: set[Partition] = field(default_factory=set)
    alarms: list[Alarm] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)

    def tell(self, event: Event) -> list[Action]:
        """Hand an event to the core and note what it wants."""
        actions = self.core.handle(event, self.now)
        for action in actions:
            self._note(action)
        return actions

    def assign(self, *partitions: Partition) -> None:
        self.tell(Assigned(partitions))

    def settle(self) -> None:
        """Answer requests, truthfully, until none is left."""
        for _ in range(100):
            if not self.requests:
                return
            self.tell(self.world.perform(self.requests.pop(0)))
        raise AssertionError(f"requests without end: {self.requests}")

    def answer(self, *outcomes: PutOutcome | str) -> None:
        """Answer the waiting request: a PUT by an outcome, any other by a failure's text."""
        for outcome in outcomes:
            request = self.requests.pop(0)
            place = request.partition, request.request
            if isinstance(outcome, PutOutcome):
                assert isinstance(request, Put)
                self.tell(PutDone(*place, outcome, "scripted"))
            else:
                self.tell(Failed(*place, outcome))

    def feed(self, partition: Partition = P0, limit: int = 1000) -> None:
        """Read from the log as the client would: from the last seek on, at most ``limit``."""
        log = self.world.logs[partition]
        if partition not in self.reads or partition in self.paused:
            return
        offsets = [o for o in log.offsets if o >= self.reads[partition]][:limit]
        if offsets:
            self.reads[partition] = offsets[-1] + 1
            self.tell(Records(partition, chunk(*offsets)))
        elif partition in self.reads:
            self.tell(EndOfPartition(partition, log.high))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Tick())

    def codes(self) -> list[str]:
        return [alarm.code for alarm in self.alarms]

    def _note(self, action: Action) -> None:
        match action:
            case Alarm():
                self.alarms.append(action)
            case Commit():
                assert action.offset <= self.world.end(action.partition), "commit before PUT"
                self.commits.append(action)
                log = self.world.logs[action.partition]
                log.committed, log.hint = action.offset, action.hint
            case Seek():
                self.reads[action.partition] = action.offset
                self.paused.discard(action.partition)
            case Pause():
                self.paused.add(action.partition)
            case _:
                self.requests.append(action)


def following(world: World, *partitions: Partition) -> Lander:
    """Return a lander that has found the ends of its chains and reads."""
    lander = Lander(world)
    lander.assign(*(partitions or (P0,)))
    lander.settle()
    return lander
