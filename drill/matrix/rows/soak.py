"""Row 31: faults of the other rows, drawn at random from a seed, for as long as is asked."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from drill.matrix.errors import StuckError
from drill.matrix.members import Member, Orders
from drill.matrix.process import Process
from drill.matrix.row import Row
from drill.matrix.stage import Stage
from drill.matrix.trend import Trend

_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 10.0  # beyond a classic session, within a broker's
_CATCH_UP_S: Final = 120.0
_PLACES: Final = ("after-poll", "before-put", "after-put")


class Soak:
    """Two landers: the elder is never harmed and is measured, the younger is the victim."""

    def __init__(self, stage: Stage, draw: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.slowest_s = 0.0
        self.elder = stage.lander()
        self._stage = stage
        self._draw = draw
        self._younger = stage.lander()

    def strike(self) -> None:
        """Carry out one fault, prove it, heal it, and wait until landing has caught up."""
        fault = self._draw.choice(_FAULTS)
        name = fault.__name__.strip("_")
        fault(self)
        self.counts[name] += 1
        healed = time.monotonic()
        targets = self._stage.require_ends()
        sight = self._stage.sight
        self._stage.wait(
            f"bronze catches up after {name}", lambda: sight.missing(targets) == 0, _CATCH_UP_S
        )
        self.slowest_s = max(self.slowest_s, time.monotonic() - healed)

    def _lander_killed(self) -> None:
        self._younger.process.kill()
        self._replace()

    def _lander_dies_at_work(self) -> None:
        place = f"{self._draw.choice(_PLACES)}:{self._draw.randint(1, 9)}"
        self._younger.process.end()
        self._younger = self._stage.lander(Orders(failpoint=place))
        self._stage.wait(f"{place} kills", self._younger.process.was_killed, _CATCH_UP_S)
        self._replace()

    def _lander_stopped(self) -> None:
        self._younger.process.end()
        self._replace()

    def _lander_frozen(self) -> None:
        self._freeze(self._younger.process)

    def _broker_killed(self) -> None:
        broker = self._any_broker()
        broker.kill()
        self._pause()
        broker.start()
        self._stage.cluster.settle()

    def _broker_frozen(self) -> None:
        self._freeze(self._any_broker())
        self._stage.cluster.settle()

    def _store_killed(self) -> None:
        self._stage.cluster.store.kill()
        self._pause()
        self._stage.cluster.store.start()

    def _store_frozen(self) -> None:
        self._freeze(self._stage.cluster.store)

    def _freeze(self, process: Process) -> None:
        process.freeze()
        self._stage.wait(f"{process.name} stands still", lambda: process.is_frozen)
        self._pause()
        process.thaw()

    def _replace(self) -> Member:
        self._younger = self._stage.lander()
        return self._younger

    def _any_broker(self) -> Process:
        return self._draw.choice(list(self._stage.cluster.brokers.values()))

    def _pause(self) -> None:
        time.sleep(self._draw.uniform(_SHORTEST_S, _LONGEST_S))  # how long the fault lasts


_FAULTS: Final[tuple[Callable[[Soak], None], ...]] = (
    Soak._lander_killed,
    Soak._lander_dies_at_work,
    Soak._lander_stopped,
    Soak._lander_frozen,
    Soak._broker_killed,
    Soak._broker_frozen,
    Soak._store_killed,
    Soak._store_frozen,
)


def soak(stage: Stage) -> None:
    """Strike until the time is over; the elder lander must neither die nor grow."""
    options = stage.options
    run = Soak(stage, random.Random(options.seed))  # noqa: S311 - reproducible, not a secret
    stage.steady()
    stage.blinds("store or coordinator away, then a fail-over", _CATCH_UP_S, "I3", "I4")
    until = time.monotonic() + options.soak_minutes * 60
    with Trend(run.elder.process.pid) as trend:
        while time.monotonic() < until:
            run.strike()
    stage.notes |= {"seed": options.seed, "slowest_s": round(run.slowest_s, 1), **trend.notes()}
    faults = ", ".join(f"{count} {name}" for name, count in sorted(run.counts.items()))
    stage.prove(f"seed {options.seed}: {faults}", lambda: run.counts)
    stage.expect("the elder lander lives", lambda: run.elder.process.is_running, 0)
    if problem := trend.problem():
        raise StuckError(f"the elder lander grows: {problem}")
    if reason := trend.unjudged():
        stage.remarks.append(f"whether the elder lander grows is not judged: {reason}")
    stage.healed()


ROWS: Final = (Row(31, "soak: faults drawn from a seed", soak),)
