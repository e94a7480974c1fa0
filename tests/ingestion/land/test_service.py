"""How long the driver takes to end, whatever keeps it."""

from pathlib import Path
from typing import Any

from ingestion.land.core import Core
from ingestion.land.failpoints import Failpoint
from ingestion.land.member import Rebalance
from ingestion.land.protocol import Partition
from ingestion.land.service import STOP_DEADLINE_S, Lander
from ingestion.land.status import StatusFile
from tests.ingestion.land.test_status import FakeClock
from tests.ingestion.land.world import P0, P1, Log, World, following


class Hanging:
    """A Kafka that takes one partition away while SIGTERM comes, and a store that is silent."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.lander: Lander | None = None
        self.revoked: Rebalance | None = None

    def subscribe(self, _: Any, assigned: Rebalance, revoked: Rebalance, lost: Rebalance) -> None:
        self.revoked = revoked

    def consume(self, timeout_s: float) -> list[Any]:
        assert self.lander is not None
        assert self.revoked is not None
        self.lander.stop()
        self.revoked((P0,))
        return []

    def events(self, messages: list[Any]) -> list[Any]:
        return messages

    def submit(self, _: Any) -> None: ...

    def answer(self, timeout_s: float = 0.0) -> None:
        self.clock.sleep(timeout_s)


def holding() -> Core:
    """Return a core that holds records of two partitions."""
    logs: dict[Partition, Log] = {P0: Log(), P1: Log()}
    for log in logs.values():
        log.append(3)
    lander = following(World(logs), P0, P1)
    lander.feed(P0)
    lander.feed(P1)
    return lander.core


def test_a_revocation_under_way_uses_up_the_time_for_stopping(tmp_path: Path) -> None:
    clock = FakeClock()
    ends: Any = Hanging(clock)
    file = StatusFile(tmp_path / "x.json", clock)
    lander = Lander(holding(), ends, ends, file, clock, Failpoint(), lambda _: 0.0)
    ends.lander = lander
    lander.run([])
    assert STOP_DEADLINE_S <= clock.monotonic() < STOP_DEADLINE_S + 0.5
    assert lander.core.chains == {}
