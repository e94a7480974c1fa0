"""Rows 8 to 10: brokers that die, stand still, or forget."""

import time
from functools import partial
from typing import Final

from drill.matrix.cluster import COORDINATOR, OFFSETS
from drill.matrix.errors import StuckError
from drill.matrix.members import Orders
from drill.matrix.process import Process
from drill.matrix.row import Row
from drill.matrix.stage import Stage
from drill.matrix.writer import write
from ingestion.contracts.topics import DEAD_LETTERS, REALTIME
from ingestion.land.protocol import Partition

_FAIL_OVER_S: Final = 180.0  # a broker's session is 30, and begins anew with each new controller
_LEADER: Final = 2
_FOLLOWER: Final = 3
_PLACE: Final = Partition(DEAD_LETTERS, 0)
_UNSAFE: Final = {"unclean.leader.election.enable": "true", "min.insync.replicas": "1"}


def outages(stage: Stage) -> None:
    """Kill a leader, bounce each broker, then kill all of them for a while."""
    stage.landers(2)
    stage.steady()
    _kill_leader(stage)
    _bounce(stage)
    _kill_all(stage)


def _kill_leader(stage: Stage) -> None:
    leader = stage.seen(lambda: stage.sight.leaders(REALTIME))[0][0]
    broker = stage.cluster.brokers[leader]
    broker.kill()
    stage.prove(f"broker {leader} is gone by signal 9", broker.was_killed)
    stage.prove(
        f"broker {leader} leads nothing and is in sync with nothing any more",
        lambda: not stage.sight.is_in_sync(leader),
        _FAIL_OVER_S,
    )
    stage.expect_progress("landing goes on without it")
    broker.start()
    stage.cluster.settle()


def _bounce(stage: Stage) -> None:
    for number in stage.cluster.brokers:
        _bounce_one(stage, number)
    stage.expect_progress("landing has gone on through the bounce")


def _bounce_one(stage: Stage, number: int) -> None:
    broker = stage.cluster.brokers[number]
    broker.terminate()
    stage.prove(f"broker {number} has ended", partial(_has_ended, broker))
    broker.start()
    stage.cluster.settle()


def _has_ended(broker: Process) -> bool:
    return not broker.is_running


def _kill_all(stage: Stage) -> None:
    why = "no broker, then one after another"
    stage.blinds(why, stage.options.outage_s + _FAIL_OVER_S, "I4")
    for broker in stage.cluster.brokers.values():
        broker.kill()
    stage.prove("no broker is left", lambda: not any(_running(stage)))
    waiting = stage.sent()["undelivered"]
    time.sleep(stage.options.outage_s)
    stage.notes["unanswered_in_outage"] = stage.sent()["undelivered"]
    stage.prove(
        "the producer keeps what it cannot send", lambda: stage.sent()["undelivered"] > waiting
    )
    for broker in stage.cluster.brokers.values():
        broker.start()
    stage.healed()


def _running(stage: Stage) -> list[bool]:
    return [broker.is_running for broker in stage.cluster.brokers.values()]


def silent_coordinator(stage: Stage) -> None:
    """Freeze the broker that coordinates the group, and leads no data."""
    # A controller that stands still keeps the others from going on until it is fenced, as long as
    # the group's coordinator stays there: whoever was it, one that starts anew is not.
    _bounce_one(stage, COORDINATOR)
    one = stage.lander(Orders(protocol="consumer"))  # reads on without its coordinator
    stage.steady()
    broker = stage.cluster.brokers[COORDINATOR]
    stage.prove(f"broker {COORDINATOR} alone coordinates", lambda: _coordinates(stage))
    stage.look_via(_LEADER)
    began = time.monotonic()
    broker.freeze()
    stage.prove(f"broker {COORDINATOR} stands still", lambda: broker.is_frozen)
    stage.prove("the data's brokers go on without it", lambda: _data_is_free(stage))
    landed = len(one.said("landed"))  # seen without Kafka: the time is short
    stage.prove(
        "objects are landed while it is still the coordinator",
        lambda: len(one.said("landed")) > landed and _coordinates(stage),
    )
    stage.expect_progress("landing goes on without it")
    broker.thaw()
    # No longer than that: there are samples right before and right after.
    silent_s = time.monotonic() - began
    stage.blinds("commits cannot be read from a coordinator that stands still", silent_s, "I4")
    stage.healed()


def _coordinates(stage: Stage) -> bool:
    return all(leader == COORDINATOR for leader, _ in stage.sight.leaders(OFFSETS).values())


def _data_is_free(stage: Stage) -> bool:
    return not any(COORDINATOR in in_sync for _, in_sync in stage.sight.leaders(REALTIME).values())


def forgotten(stage: Stage) -> None:
    """Have a broker that lacks landed records elected leader, and let others be written there."""
    cluster = stage.cluster
    stage.blinds("a topic without a leader", _FAIL_OVER_S, "I4")
    stage.renew(DEAD_LETTERS, [[_LEADER, _FOLLOWER]], _UNSAFE)
    one = stage.lander()
    stage.steady()
    write(DEAD_LETTERS, 200, acks="all")
    cluster.brokers[_FOLLOWER].kill()
    stage.prove(
        f"only broker {_LEADER} is in sync",
        lambda: _leader(stage) == (_LEADER, [_LEADER]),
        _FAIL_OVER_S,  # the one that was killed may have been the controller
    )
    write(DEAD_LETTERS, 200)
    stage.prove("what it alone has is landed", lambda: stage.sight.landed_to(_PLACE) == 400)
    cluster.brokers[_LEADER].kill()
    cluster.brokers[_FOLLOWER].start()
    stage.prove(
        f"broker {_FOLLOWER} leads, without the last 200 records",
        lambda: _leader(stage)[0] == _FOLLOWER and stage.sight.log(_PLACE) == (0, 200),
        _FAIL_OVER_S,
    )
    stage.expect("the lander raises the alarm and stalls", lambda: one.said("stalled"))
    write(DEAD_LETTERS, 300)
    _expect_page(stage)
    one.process.end()
    cluster.brokers[_LEADER].start()
    stage.cluster.settle()
    stage.renew(DEAD_LETTERS, cluster.data_replicas(1), {})
    stage.lander()
    stage.healed()


def _leader(stage: Stage) -> tuple[int, list[int]]:
    return stage.sight.leaders(DEAD_LETTERS).get(0, (-1, []))


def _expect_page(stage: Stage) -> None:
    """Both auditors must see that bronze and Kafka differ, at this topic and nowhere else."""
    for found in stage.auditors.judge(deep=True):
        places = {c["topic"] for c in found.checks if c["status"] == "violated"}
        if places != {DEAD_LETTERS} or "bronze.bytes" not in found.names():
            raise StuckError(f"expected the auditors to page for {DEAD_LETTERS}: {found.told()}")
    stage.reactions.append("both auditors: bronze is not what Kafka holds (I5)")


ROWS: Final = (
    Row(8, "leader killed, rolling bounce, all brokers down", outages),
    Row(9, "coordinator silent, data path fine", silent_coordinator),
    Row(10, "unclean election, truncated log", forgotten),
)
