"""When a run that lands what Kafka holds now is over."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from ingestion.land.once import Targets
from ingestion.land.protocol import Lost, Partition
from tests.ingestion.land.test_status import FakeClock
from tests.ingestion.land.world import P0, Lander, Log, World

NEW = "b" * 32


@dataclass
class Run:
    """A run on one partition that held five records when it began."""

    clock: FakeClock = field(default_factory=FakeClock)
    world: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.world.logs[P0].append(5)
        self.lander = Lander(self.world)
        self.lander.assign(P0)
        self.lander.settle()
        self.targets = Targets([P0], self, self.chain_end, self.clock)

    def generation(self, topic: str) -> str:
        assert topic == P0.topic
        return self.world.logs[P0].generation

    def watermarks(self, partition: Partition) -> tuple[int, int]:
        log = self.world.logs[partition]
        return log.low, log.high

    def chain_end(self, partition: Partition, generation: str) -> int:
        assert generation == self.world.logs[partition].generation
        return self.world.end(partition)

    def recreate(self, count: int) -> None:
        self.world.logs[P0] = Log(generation=NEW)
        self.world.logs[P0].append(count)

    def is_over(self) -> bool:
        """Let a second go by, as the driver does."""
        self.clock.sleep(1.0)
        self.lander.wait(1.0)
        self.lander.feed()
        driver: Any = Driver(self.lander)
        over = self.targets.are_reached(driver)
        self.lander.settle()
        return over


class Driver:
    """The driver's side of the lander in the simulated world."""

    def __init__(self, lander: Lander) -> None:
        self.core = lander.core
        self.dispatch = lander.tell


def test_a_run_is_over_when_what_was_there_is_landed() -> None:
    run = Run()
    run.world.logs[P0].append(3)
    assert [run.is_over() for _ in range(2)] == [False, True]
    assert run.world.end() >= 5


@pytest.mark.parametrize("count", [0, 2])
def test_a_topic_created_anew_with_fewer_records_does_not_keep_a_run(count: int) -> None:
    run = Run()
    run.lander.feed(limit=3)
    run.recreate(count)
    found = [run.is_over() for _ in range(8)]
    assert found[0] is False
    assert found[-1] is True
    assert run.world.landed() == list(range(count))


def test_what_another_member_lands_of_a_topic_created_anew_counts() -> None:
    run = Run()
    run.lander.tell(Lost((P0,)))
    assert not run.is_over()
    run.recreate(2)
    assert not run.is_over()
    other = Lander(run.world)
    other.assign(P0)
    other.settle()
    other.feed()
    other.wait(5.0)
    other.settle()
    assert run.is_over()
