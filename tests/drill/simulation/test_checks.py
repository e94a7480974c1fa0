"""The judge, judged: each invariant, broken by hand."""

import pytest

from drill.simulation.checks import Checks, Violation
from drill.simulation.log import Logs, Record, chunk
from drill.simulation.store import Key, Object, Store
from ingestion.land import lines
from ingestion.land.protocol import Kind, Put
from tests.ingestion.land.world import FakeMessage


class Bench:
    """A log of ten records with ids 0 to 9, and a store that says what it writes."""

    def __init__(self) -> None:
        self.logs = Logs(partitions=1)
        self.store = Store()
        self.checks = Checks(self.logs, self.store)
        self.store.observe = self.checks.stored
        [self.partition] = self.logs.partitions
        self.logs.append(self.partition, 10, 0)
        self.log = self.logs.of[self.partition]

    def put(self, start: int, next_: int, *offsets: int, kind: Kind = Kind.DATA) -> None:
        records = [Record(offset, offset) for offset in offsets or range(start, next_)]
        chunks = (chunk(records),) if kind is Kind.DATA else ()
        self.store.put(Put(self.partition, self.logs.generation, start, next_, kind, chunks))

    def key(self, start: int) -> Key:
        return self.partition, self.logs.generation, start


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_whole_chain_is_no_violation(bench: Bench) -> None:
    bench.put(0, 4)
    bench.put(4, 10)
    bench.checks.committed(bench.partition, bench.logs.generation, 10)

    assert bench.checks.is_landed()
    bench.checks.finished()


@pytest.mark.parametrize(("start", "next_"), [(5, 7), (3, 7)])
def test_a_gap_and_an_overlap_break_the_chain(bench: Bench, start: int, next_: int) -> None:
    bench.put(0, 4)
    with pytest.raises(Violation, match="I2"):
        bench.put(start, next_)


def test_a_key_that_changes_is_seen(bench: Bench) -> None:
    bench.put(0, 4)
    [old] = bench.store.objects.values()
    with pytest.raises(Violation, match="I3"):
        bench.checks.stored(bench.key(0), old, old)


def test_a_commit_beyond_the_chain_is_seen(bench: Bench) -> None:
    bench.put(0, 4)
    with pytest.raises(Violation, match="I4"):
        bench.checks.committed(bench.partition, bench.logs.generation, 5)


@pytest.mark.parametrize(
    ("next_", "offsets"),
    [(4, (0, 1, 3)), (4, (0, 1, 2, 3, 4)), (4, (0, 1, 1, 2, 3)), (12, tuple(range(10)))],
    ids=["lost", "beyond the interval", "doubled", "beyond the log"],
)
def test_other_records_than_the_logs_are_seen(
    bench: Bench, next_: int, offsets: tuple[int, ...]
) -> None:
    with pytest.raises(Violation, match="I5"):
        bench.put(0, next_, *offsets)


def test_a_record_of_another_topic_is_seen(bench: Bench) -> None:
    bench.logs.recreate()
    bench.logs.append(bench.partition, 10, 0)
    with pytest.raises(Violation, match="never had"):
        bench.put(0, 4)


def test_a_count_that_is_not_the_contents_is_seen(bench: Bench) -> None:
    body = chunk([Record(0, 0)]).blob
    with pytest.raises(Violation, match="says 2"):
        bench.checks.stored(bench.key(0), Object(0, 1, Kind.DATA, 2, body), None)


def test_a_gap_may_cover_only_what_retention_removed(bench: Bench) -> None:
    bench.log.retain(3)
    with pytest.raises(Violation, match="lacks the record at 3"):
        bench.put(0, 4, kind=Kind.GAP)


def test_retention_is_not_jumped_in_silence(bench: Bench) -> None:
    bench.log.retain(3)
    with pytest.raises(Violation, match="lacks the record at 0"):
        bench.put(0, 10, *range(3, 10))


def test_a_declared_gap_and_compacted_records_are_no_violation(bench: Bench) -> None:
    bench.log.retain(3)
    bench.log.compact({5, 6})
    bench.put(0, 3, kind=Kind.GAP)
    bench.put(3, 10, 3, 4, 7, 8, 9)
    bench.checks.finished()


def test_what_never_lands_is_seen(bench: Bench) -> None:
    bench.put(0, 4)
    with pytest.raises(Violation, match="I9"):
        bench.checks.finished()


def test_only_truncation_excuses_a_stall(bench: Bench) -> None:
    with pytest.raises(Violation, match="I9"):
        bench.checks.stalled(bench.partition, "")
    bench.log.truncate(5)
    bench.checks.stalled(bench.partition, "")


def test_simulated_lines_are_the_products_own() -> None:
    record = Record(12, 345)
    message = FakeMessage(12, b"345", None)

    assert lines.encode([message]).blob == record.line()
