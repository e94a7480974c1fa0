"""Row 19: one lander's ways to Kafka and to the store are cut, each alone, by direction."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Final

from drill.matrix.members import Member, Orders
from drill.matrix.network import Network, Side
from drill.matrix.relay import Way
from drill.matrix.row import Row
from drill.matrix.stage import Stage

_HELD_S: Final = 10.0  # longer than a session of 6 s
_FLAPS: Final = 5
_FLAP_S: Final = 1.0
_BACK_S: Final = (
    120.0  # a sender that heard nothing for 10 s may wait as long before it tries again
)


@dataclass(frozen=True)
class Cut:
    """What is cut, and the directions in which something must have been dropped."""

    side: Side
    way: Way
    dropped: tuple[str, ...]

    def words(self) -> str:
        """Return it for the report."""
        return f"{self.way} to {self.side}"


CUTS: Final = (
    Cut("kafka", Way.HOLD_BOTH, ("requests",)),
    Cut("kafka", Way.HOLD_ANSWERS, ("answers",)),
    Cut("kafka", Way.HOLD_REQUESTS, ("requests",)),
    Cut("store", Way.HOLD_BOTH, ("requests",)),
    Cut("store", Way.HOLD_ANSWERS, ("answers",)),
)


def cut_off(stage: Stage) -> None:
    """Cut one of three landers off in every way, then let its ways flap."""
    detour = stage.cluster.detour
    network, close = detour.open(stage.cluster.process, stage.cluster.layout.store.port)
    stage.closing.callback(close)
    stage.proofs.append(_by_what(network, detour.why_no_namespace))
    stage.landers(2)
    victim = stage.lander(Orders(settings=detour.settings(), prefix=tuple(network.prefix())))
    stage.steady()
    stage.prove(f"{victim.name} reads partitions of its own", victim.follows, 60)
    for number, cut in enumerate(CUTS, start=1):
        _cut(stage, victim, network, cut, number)
    _flap(stage, network)
    _back(stage, victim, "after flapping")


def _by_what(network: Network, why_no_namespace: str | None) -> str:
    if why_no_namespace is None:
        return f"cut in a {network.kind}: packets dropped by tc"
    return f"cut in relays, skipped in a network namespace ({why_no_namespace})"


def _cut(stage: Stage, victim: Member, network: Network, cut: Cut, number: int) -> None:
    network.set(cut.side, cut.way)
    began = time.monotonic()
    stage.prove(
        f"{cut.words()} for {_HELD_S:.0f} s: something was dropped",
        lambda: _is_dropping(network, cut) and time.monotonic() - began >= _HELD_S,
        3 * _HELD_S,
    )
    stage.notes[f"{number}_dropped"] = sum(network.dropped(cut.side).values())
    network.set(cut.side, Way.PASS)
    stage.notes[f"{number}_back_s"] = _back(stage, victim, f"after {cut.words()}")


def _is_dropping(network: Network, cut: Cut) -> bool:
    dropped = network.dropped(cut.side)
    return all(dropped[direction] > 0 for direction in cut.dropped)


def _flap(stage: Stage, network: Network) -> None:
    for number in range(_FLAPS):
        side: Side = "kafka" if number % 2 else "store"
        network.set(side, Way.HOLD_BOTH)
        stage.prove(
            f"{side} cut, time {number + 1} of {_FLAPS}",
            partial(_has_dropped, network, side, time.monotonic() + _FLAP_S),
        )
        network.set(side, Way.PASS)


def _has_dropped(network: Network, side: Side, since: float) -> bool:
    return sum(network.dropped(side).values()) > 0 and time.monotonic() >= since


def _back(stage: Stage, victim: Member, when: str) -> float:
    """Require that bronze catches up and that the victim lands again; return the seconds."""
    stage.healed()
    began = time.monotonic()
    stage.expect_progress(f"bronze has caught up {when}")
    told = len(victim.said("landed"))
    stage.expect(
        f"{victim.name} lands again {when}", lambda: len(victim.said("landed")) > told, _BACK_S
    )
    return round(time.monotonic() - began, 1)


ROWS: Final = (
    Row(19, "one lander cut off from Kafka, from the store, one way, flapping", cut_off),
)
