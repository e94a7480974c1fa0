"""Row 7: members that come and go without end."""

import time
from typing import Final

from drill.matrix.members import Member, Orders
from drill.matrix.row import Row
from drill.matrix.stage import Stage

_PROTOCOLS: Final = ("classic", "consumer")
_EVERY_S: Final = 2.0
_MOVES: Final = 12
_MOST_MOVES: Final = 40  # a group that is slow takes several of them in one rebalance
_LEAST_REBALANCES: Final = 6
_LEAST_SHARE: Final = 0.3  # of what was produced meanwhile; each rebalance costs a flush


def storm(stage: Stage) -> None:
    """Let a member join or leave every two seconds, often enough, with either group protocol."""
    for protocol in _PROTOCOLS:
        stage.leave()  # a group is of one protocol while it has members
        _storm(stage, Orders(protocol=protocol))
    stage.healed()


def _storm(stage: Stage, orders: Orders) -> None:
    constant = stage.lander(orders)
    stage.steady()
    produced, told = _produced(stage), constant.rebalances()
    landed = stage.seen(stage.sight.landed_in_all)
    guests: list[Member] = []
    for move in range(_MOST_MOVES):
        if move >= _MOVES and constant.rebalances() - told >= _LEAST_REBALANCES:
            break
        if move % 2 and len(guests) > 1:
            guests.pop(0).process.terminate()
        else:
            guests.append(stage.lander(orders))
        time.sleep(_EVERY_S)  # the storm's own beat
    more = stage.seen(stage.sight.landed_in_all) - landed
    share = more / max(1, _produced(stage) - produced)
    stage.notes[f"landed_share_{orders.protocol}"] = round(share, 2)
    stage.prove(
        f"{orders.protocol}: {constant.name} was rebalanced {_LEAST_REBALANCES} times or more",
        lambda: constant.rebalances() - told >= _LEAST_REBALANCES,
    )
    stage.expect(
        f"{orders.protocol}: {share:.0%} of what was produced meanwhile was landed meanwhile",
        lambda: share >= _LEAST_SHARE,
        0,
    )
    for guest in guests:
        guest.process.terminate()


def _produced(stage: Stage) -> int:
    return stage.sent()["delivered"]


ROWS: Final = (Row(7, "rebalance storm, classic and KIP-848", storm),)
