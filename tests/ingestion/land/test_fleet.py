"""The parent of N landers, with small programs in their place."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingestion.land import fleet
from ingestion.land.fleet import Fleet, FleetError, Plan
from ingestion.settings import ROOT, LandSettings
from tests.ingestion.land.test_status import FakeClock

SLEEPS = "import time; time.sleep(60)"
DIES = "import os; os.kill(os.getpid(), 9)"
FAILS = "raise SystemExit(1)"
STAYS = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("{}").touch()
time.sleep(60)
"""
REPORTS = """
from ingestion.land.fleet import tell_parent
tell_parent({"objects": 2, "records": 30, "alarms": {"adopted": 1}})
"""


class Hurried(FakeClock):
    """A clock on which a wait takes no time to speak of."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def members(*programs: str) -> list[Plan]:
    return [
        Plan(f"x-{n}", [sys.executable, "-c", program], {}) for n, program in enumerate(programs)
    ]


def children() -> list[psutil.Process]:
    return psutil.Process().children()


def test_one_that_keeps_dying_is_given_up_and_the_others_are_stopped() -> None:
    clock = Hurried()
    before = children()
    one = Fleet(members(SLEEPS, DIES), clock)
    with pytest.raises(FleetError, match=r"x-1 died 6 times in a row.*SIGKILL: giving up"):
        one.run()
    assert one._members[1].lives == 1 + fleet.RESTARTS
    assert clock.monotonic() > 0.5 + 1 + 2 + 4 + 8, "the delays do not grow"
    assert children() == before


def test_one_that_ran_for_long_has_its_restarts_again() -> None:
    one = Fleet(members(DIES), Hurried())
    member = one._members[0]
    member.deaths = fleet.RESTARTS
    one._died(member, -9, now=fleet._STEADY_S)
    assert member.deaths == 1


def test_one_that_cannot_start_ends_the_command_at_once() -> None:
    one = Fleet(members(FAILS, SLEEPS), Hurried())
    with pytest.raises(FleetError, match="x-0 did not start"):
        one.run()
    assert one._members[0].lives == 1


def test_a_run_that_ends_is_the_sum_of_its_landers() -> None:
    one = Fleet(members(REPORTS, REPORTS), Hurried(), once=True)
    one.run()
    assert one.done() == {"objects": 4, "records": 60, "alarms": {"adopted": 2}}


def test_a_run_that_ends_fails_where_one_lander_does_after_the_others_are_done() -> None:
    one = Fleet(members(FAILS, REPORTS, DIES), Hurried(), once=True)
    with pytest.raises(FleetError, match="x-0 ended with exit code 1, x-2 was killed by SIGKILL"):
        one.run()
    assert [member.lives for member in one._members] == [1, 1, 1]
    assert one.done()["records"] == 30


def test_one_that_does_not_stop_in_time_is_killed_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "_STOP_S", 0.2)
    one = Fleet(members(STAYS.format(tmp_path / "up")), Hurried())
    one._tend()
    deadline = time.monotonic() + 20
    while not (tmp_path / "up").exists():  # from then on it ignores SIGTERM
        assert time.monotonic() < deadline
        time.sleep(0.01)
    one._stop()
    with pytest.raises(FleetError, match="x-0 was killed by SIGKILL"):
        one.run()


def test_each_lander_has_a_name_and_a_port_of_its_own() -> None:
    settings = LandSettings.model_construct(metrics_port=9464)
    found = fleet.plans(settings, 2, "x", once=False)
    assert [plan.name for plan in found] == ["x-0", "x-1"]
    assert [plan.environment["LAND_METRICS_PORT"] for plan in found] == ["9464", "9465"]
    silent = LandSettings.model_construct(metrics_port=None)
    assert fleet.plans(silent, 1, "x", once=False)[0].environment == {}


def test_a_lander_ends_when_the_pipe_from_its_parent_does() -> None:
    program = (
        "import time; from ingestion.land.fleet import follow_parent;"
        "follow_parent(); print('up', flush=True); time.sleep(60)"
    )
    lander = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with lander:
        assert lander.stdout is not None
        assert lander.stdin is not None
        assert lander.stdout.readline() == b"up\n"
        lander.stdin.close()
        assert lander.wait(20) == -signal.SIGTERM
