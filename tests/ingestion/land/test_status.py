"""What a lander tells, and what others make of it."""

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.land import drain, health, status
from ingestion.land.chain import Failure, Phase
from ingestion.land.core import Core
from ingestion.land.counts import Counts
from ingestion.land.failpoints import Failpoint
from ingestion.land.protocol import Lost, Partition, PutOutcome
from ingestion.land.service import Lander as Service
from ingestion.land.status import StatusFile
from tests.ingestion.land.world import P0, P1, FakeMessage, Log, World, chunk, following

BEGIN = datetime(2026, 3, 2, 14, 30, 0, 500_000, tzinfo=UTC)


@dataclass
class FakeClock:
    """A clock that stands until it is moved; the wall's and the monotonic time go together."""

    moved: float = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.moved)

    def monotonic(self) -> float:
        return self.moved

    def sleep(self, seconds: float) -> None:
        self.moved += seconds


@dataclass
class Told:
    """A lander in the simulated world and the file that it writes."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        log = Log()
        log.append(3)
        self.lander = following(World({P0: log, P1: Log()}), P0, P1)
        self.lander.feed()
        self.file = StatusFile(status.path(self.folder, "x"), self.clock)

    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.lander.wait(seconds)

    def write(self, ends: dict[Partition, int | None] | None = None) -> dict[str, Any]:
        self.file.write(self.lander.core, ends or {}, "running")
        found: dict[str, Any] = json.loads((self.folder / "lander-x.json").read_text())
        return found

    def problem(self) -> str | None:
        (found,) = health.of_landers(self.folder, self.clock)
        assert [found] == health.of_processes(self.folder, {os.getpid()}, self.clock)
        return found.problem


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_the_error_of_a_refused_write_is_told_with_its_beginning_and_cleared(told: Told) -> None:
    told.wait(2.0)
    assert (told.write()["error"], told.problem()) == (None, None)

    told.clock.sleep(1.0)
    told.lander.now += 1.0
    told.lander.answer(PutOutcome.REFUSED)
    found = told.write()
    assert found["error"] == "stock-quotes/0: scripted"
    assert found["failing_since"] == "2026-03-02T14:30:02.500000Z"
    rows = [(row["partition"], row["error"]) for row in found["partitions"]]
    assert rows == [(0, "scripted"), (1, None)]
    assert told.problem() == "not writing since 2026-03-02T14:30:02Z: stock-quotes/0: scripted"
    said = drain.landers(told.folder, told.clock)
    assert said == f"lander {os.getpid()} is {told.problem()}"

    told.lander.settle()
    assert (told.write()["error"], told.problem()) == (None, None)
    assert drain.landers(told.folder, told.clock) == "1 lander(s) run and report no error"


def test_a_lander_that_the_group_does_not_take_tells_why_and_since_when(told: Told) -> None:
    told.clock.sleep(3.0)
    told.file.member = lambda: Failure(2.0, "Group authorization failed")
    assert (told.write()["error"], told.write()["idle_since"]) == (None, None), "it has partitions"

    told.clock.sleep(4.0)
    told.lander.tell(Lost((P0, P1)))
    assert told.write()["idle_since"] == "2026-03-02T14:30:07.500000Z"
    assert told.problem() == "not writing since 2026-03-02T14:30:02Z: Group authorization failed"
    assert drain.landers(told.folder, told.clock).endswith("Group authorization failed")

    told.clock.sleep(9.0)
    told.file.member = lambda: None
    assert told.write()["idle_since"] == "2026-03-02T14:30:07.500000Z"
    assert told.problem() is None
    said = drain.landers(told.folder, told.clock)
    assert said == "1 lander(s) run and report no error, 1 of them without a partition"

    told.lander.assign(P0)
    assert told.write()["idle_since"] is None


def test_a_lander_that_tells_nothing_is_a_problem(told: Told) -> None:
    told.write()
    told.clock.sleep(health.SILENT_S + 1)
    assert told.problem() == "silent since 2026-03-02T14:30:00Z"


def test_the_file_of_a_dead_lander_is_no_lander(told: Told) -> None:
    document = told.write() | {"pid": 2**22 + 1}  # beyond Linux's largest process id
    (told.folder / "lander-x.json").write_text(json.dumps(document))
    assert health.of_landers(told.folder, told.clock) == []
    assert drain.landers(told.folder, told.clock) == "no lander runs here"


def test_the_lag_is_what_storage_lacks_and_unknown_while_its_end_is_sought(told: Told) -> None:
    first = told.write({P0: 10, P1: None})["partitions"]
    assert [(row["landed"], row["log_end"], row["lag"]) for row in first] == [
        (0, 10, 10),
        (0, None, None),
    ]
    told.lander.core.chains[P0].phase = Phase.LOCATING
    assert told.write({P0: 10})["partitions"][0]["lag"] is None


def test_the_oldest_is_as_old_as_its_timestamp_in_kafka(told: Told) -> None:
    stamp = FakeMessage(0).stamp / 1000
    held = told.write({P0: 3})["partitions"][0]
    assert held["oldest_unlanded_s"] == BEGIN.timestamp() - stamp
    assert held["oldest_buffered_s"] == 0.0
    told.wait(2.0)
    told.lander.settle()
    assert told.write({P0: 3})["partitions"][0]["oldest_unlanded_s"] is None


def test_a_record_with_a_timestamp_ahead_of_our_clock_is_not_younger_than_nothing(
    told: Told,
) -> None:
    told.clock.moved = FakeMessage(0).stamp / 1000 - BEGIN.timestamp() - 60
    assert told.write({P0: 3})["partitions"][0]["oldest_unlanded_s"] == 0.0


def test_a_record_that_is_missing_and_not_held_is_as_old_as_its_absence(told: Told) -> None:
    def oldest() -> Any:
        return told.write({P1: 7})["partitions"][1]["oldest_unlanded_s"]

    assert oldest() == 0.0
    told.clock.sleep(5.0)
    assert oldest() == 5.0
    told.lander.core.chains[P1].landed = 4
    assert oldest() == 0.0, "another record is the oldest now"


def test_rates_are_those_of_the_last_ten_seconds() -> None:
    counts = Counts(0.0)
    for second in range(1, 31):
        counts.received(P0, chunk(*range(10 if second <= 20 else 30)))
        if second % 2 == 0:
            counts.landed(P0, [chunk(*range(20))])
        rates = counts.rates(float(second))
    assert rates == {P0: (30.0, 10.0)}
    assert (counts.records, counts.objects) == (300, 15)


def test_the_file_of_a_lander_that_died_long_ago_is_swept(told: Told) -> None:
    told.write()
    told.clock.sleep(601)
    status.sweep(told.folder, told.clock)
    assert len(status.documents(told.folder)) == 1, "it lives"
    (document,) = status.documents(told.folder)
    (told.folder / "lander-x.json").write_text(json.dumps({**document, "pid": 2**22 + 1}))
    status.sweep(told.folder, told.clock)
    assert status.documents(told.folder) == []


def test_a_file_that_cannot_be_written_does_not_end_the_landing(told: Told) -> None:
    class Full(StatusFile):
        def write(self, *_: Any) -> None:
            raise OSError(28, "No space left on device")

    file = Full(told.folder / "y.json", told.clock)
    core, idle = Core(told.lander.core._limits), Idle()
    service = Service(core, idle, idle, file, told.clock, Failpoint())  # type: ignore[arg-type]  # a fake
    told.clock.sleep(2.0)
    service.step()
    service.run([], lambda: True)
    assert file.alarms["status_unwritten"] == 2


class Idle:
    """A Kafka and workers with nothing to say."""

    def subscribe(self, *_: Any) -> None:
        return None

    def consume(self, timeout_s: float) -> list[Any]:
        return []

    def events(self, messages: list[Any]) -> list[Any]:
        return messages

    def answer(self, _: float = 0.0) -> None:
        return None
