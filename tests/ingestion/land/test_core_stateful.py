"""The core under Hypothesis: legal events in any order, late and repeated answers among them."""

from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ingestion.land import lines
from ingestion.land.chain import Phase
from ingestion.land.core import Core, Limits
from ingestion.land.protocol import (
    Action,
    Answer,
    Commit,
    EndOfPartition,
    Flush,
    Head,
    Kind,
    Lost,
    Partition,
    PositionLost,
    Put,
    PutOutcome,
    Records,
    Revoked,
)
from tests.ingestion.land.world import P0, P1, FakeMessage, Lander, Log, World

LIMITS = Limits(max_bytes=400, max_age_s=2.0, budget_bytes=1_500, pause_after_s=0.5)
PARTITIONS = (P0, P1)
Place = tuple[Partition, str]

landers = st.integers(0, 1)
partitions = st.sampled_from(PARTITIONS)
sizes = st.integers(0, 4)


class Member(Lander):
    """A lander that reads as the real client does: out of range is an error, not a jump."""

    def read(self, partition: Partition, limit: int) -> None:
        log = self.world.logs[partition]
        if partition not in self.reads or partition in self.paused:
            return
        if not log.low <= self.reads[partition] <= log.high:
            self.tell(PositionLost(partition, "out of range"))
            return
        offsets = [o for o in log.offsets if o >= self.reads[partition]][:limit]
        if offsets:
            self.reads[partition] = offsets[-1] + 1
            self.tell(Records(partition, chunk_of(log, offsets)))
        else:
            self.reads[partition] = log.high
            self.tell(EndOfPartition(partition, log.high))

    def _note(self, action: Action) -> None:
        if isinstance(action, Commit):
            ends = [head.next for head, _ in chain(self.world, action.partition, action.generation)]
            assert action.offset in ends, "committed before it was durable"
            log = self.world.logs[action.partition]
            if log.generation == action.generation:
                log.committed, log.hint = action.offset, action.hint
        else:
            super()._note(action)


def chunk_of(log: Log, offsets: Iterable[int]) -> lines.Chunk:
    """Return records whose values say which generation they are of."""
    return lines.encode([FakeMessage(o, f'"{log.generation}"'.encode()) for o in offsets])


def chain(world: World, *place: object) -> list[tuple[Head, tuple[lines.Chunk, ...]]]:
    return [world.objects[key] for key in sorted(world.objects) if key[:2] == place]


class Landing(RuleBasedStateMachine):
    """Two landers that both believe that they own both partitions."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(logs={P0: Log(), P1: Log()})
        self.members = [self.start(), self.start()]
        self.answers: list[tuple[int, Answer]] = []
        self.ever: dict[Place, set[int]] = {}
        self.gone: dict[Place, set[int]] = {}
        self.written: dict[object, object] = {}
        self.generations = 0

    def start(self) -> Member:
        return Member(self.world, Core(LIMITS))

    @initialize()
    def assign(self) -> None:
        for member in self.members:
            member.assign(*PARTITIONS)
            member.settle()

    # Kafka ------------------------------------------------------------------------------------

    @rule(partition=partitions, count=sizes, markers=st.integers(0, 2))
    def produce(self, partition: Partition, count: int, markers: int) -> None:
        log = self.world.logs[partition]
        log.append(count, markers)
        self.ever.setdefault((partition, log.generation), set()).update(log.offsets)

    @rule(partition=partitions, low=st.integers(1, 20))
    def retain(self, partition: Partition, low: int) -> None:
        log = self.world.logs[partition]
        log.low = max(log.low, min(low, log.high))
        log.offsets = [offset for offset in log.offsets if offset >= log.low]

    @rule(partition=partitions, offset=st.integers(0, 20))
    def compact(self, partition: Partition, offset: int) -> None:
        log = self.world.logs[partition]
        if offset in log.offsets:
            log.offsets.remove(offset)
            self.gone.setdefault((partition, log.generation), set()).add(offset)

    @rule(partition=partitions)
    def recreate(self, partition: Partition) -> None:
        self.generations += 1
        self.world.logs[partition] = Log(generation=f"{self.generations:032x}")

    @rule(who=landers, partition=partitions, limit=st.integers(1, 5))
    def read(self, who: int, partition: Partition, limit: int) -> None:
        self.members[who].read(partition, limit)

    @rule(who=landers, partition=partitions, back=st.integers(1, 6))
    def redeliver(self, who: int, partition: Partition, back: int) -> None:
        reads = self.members[who].reads
        if partition in reads:
            reads[partition] = max(self.world.logs[partition].low, reads[partition] - back)

    # The group and the process -----------------------------------------------------------------

    @rule(who=landers, partition=partitions)
    def revoke(self, who: int, partition: Partition) -> None:
        self.members[who].tell(Revoked((partition,)))

    @rule(who=landers, partition=partitions)
    def lose_and_assign(self, who: int, partition: Partition) -> None:
        self.members[who].tell(Lost((partition,)))
        self.members[who].reads.pop(partition, None)
        self.members[who].assign(partition)

    @rule(who=landers)
    def crash(self, who: int) -> None:
        self.members[who] = self.start()
        self.answers = [one for one in self.answers if one[0] != who]
        self.members[who].assign(*PARTITIONS)

    @rule(who=landers, seconds=st.sampled_from((0.1, 0.6, 2.0)))
    def wait(self, who: int, seconds: float) -> None:
        self.members[who].wait(seconds)

    @rule(who=landers)
    def flush(self, who: int) -> None:
        self.members[who].tell(Flush())

    @rule(who=landers, partition=partitions, limit=st.integers(1, 5))
    def settle_and_send(self, who: int, partition: Partition, limit: int) -> None:
        """Come to where it matters: a PUT is under way."""
        self.members[who].settle()
        self.produce(partition, 2, 0)
        self.members[who].read(partition, limit)
        self.members[who].tell(Flush())

    # Requests ---------------------------------------------------------------------------------

    @rule(who=landers, last=st.booleans())
    def answer(self, who: int, last: bool) -> None:
        if request := self.pop(who, last):
            self.members[who].tell(self.world.perform(request))

    @rule(who=landers, last=st.booleans())
    def perform_and_keep_the_answer(self, who: int, last: bool) -> None:
        if request := self.pop(who, last):
            self.answers.append((who, self.world.perform(request)))

    @rule(which=st.integers(0, 9), again=st.booleans())
    def deliver_a_kept_answer(self, which: int, again: bool) -> None:
        if which < len(self.answers):
            who, answer = self.answers[which] if again else self.answers.pop(which)
            self.members[who].tell(answer)

    @rule(
        who=landers,
        applied=st.booleans(),
        outcome=st.sampled_from(
            (PutOutcome.UNKNOWN, PutOutcome.CONFLICT, PutOutcome.REFUSED, "failed")
        ),
    )
    def fail(self, who: int, applied: bool, outcome: PutOutcome | str) -> None:
        member = self.members[who]
        if not member.requests:
            return
        request = member.requests[0]
        if not isinstance(request, Put):
            member.answer("failed")
            return
        if applied and outcome is PutOutcome.UNKNOWN:
            self.world.perform(request)
        member.answer(outcome)

    def pop(self, who: int, last: bool) -> object:
        requests = self.members[who].requests
        return requests.pop(-1 if last else 0) if requests else None

    # What must hold ---------------------------------------------------------------------------

    @invariant()
    def no_object_ever_changes(self) -> None:
        for key, stored in self.world.objects.items():
            assert self.written.setdefault(key, stored) is stored
        assert self.written.keys() == self.world.objects.keys()

    @invariant()
    def objects_form_one_chain_of_the_logs_records(self) -> None:
        for place in {key[:2] for key in self.world.objects}:
            end = 0
            for head, chunks in chain(self.world, *place):
                assert head.start == end, "gap or overlap"
                end = head.next
                self.check_records(place, head, chunks)

    def check_records(self, place: Place, head: Head, chunks: Iterable[lines.Chunk]) -> None:
        records = [lines.parse(line) for one in chunks for line in lines.split(one.blob)]
        offsets = [record.offset for record in records]
        expected = {o for o in self.ever[place] if head.start <= o < head.next}
        assert offsets == sorted(set(offsets))
        assert set(offsets) <= expected, "records that the log never had there"
        assert {record.value for record in records} <= {f'"{place[1]}"'.encode()}
        if head.kind is Kind.DATA:
            missing = expected - set(offsets) - self.gone.get(place, set())
            assert not missing, f"skipped: {missing}"

    @invariant()
    def nothing_is_given_up(self) -> None:
        for member in self.members:
            assert all(chain.phase is not Phase.STALLED for chain in member.core.chains.values())

    def teardown(self) -> None:
        """Let a last lander work undisturbed: everything must arrive."""
        last = self.start()
        last.assign(*PARTITIONS)
        for _ in range(60):
            last.settle()
            for partition in PARTITIONS:
                last.read(partition, 1000)
            last.wait(2.0)
            if all(
                self.end(partition) == self.world.logs[partition].high for partition in PARTITIONS
            ):
                return
        raise AssertionError(f"not landed: {self.world.logs}")

    def end(self, partition: Partition) -> int:
        found = chain(self.world, partition, self.world.logs[partition].generation)
        return found[-1][0].next if found else 0


TestLanding = Landing.TestCase
TestLanding.settings = settings(
    max_examples=120,
    stateful_step_count=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
