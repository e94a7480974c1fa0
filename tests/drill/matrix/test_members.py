"""How a lander's process ended, against what it was told to; with scripts in its place."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drill.matrix.errors import StuckError
from drill.matrix.members import Member, Orders
from drill.matrix.process import Process
from drill.matrix.stage import Options, Stage
from tests.drill.matrix.helpers import in_folder

ASSIGNED = f"print({json.dumps(json.dumps({'event': 'assigned'}))}, flush=True); "
RUN = "import time; time.sleep(600)"
TRAP = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit({code})); "
READY = "print('{}', flush=True); "


class Cluster:
    """A cluster that runs a script where a lander is wanted."""

    def __init__(self, folder: Path, script: str) -> None:
        self.layout = type("Layout", (), {"run": folder})
        self._folder = folder
        self._script = script

    def process(self, name: str, _: Sequence[str], __: object) -> Process:
        return in_folder(self._folder, name, [sys.executable, "-c", self._script])


def member(folder: Path, script: str, failpoint: str = "") -> Member:
    made: Any = Cluster(folder, script)
    return Member(made, f"one-{len(list(folder.iterdir()))}", Orders(failpoint=failpoint))


def ready(one: Member) -> Member:
    """Wait until the script has set up what it does about signals."""
    while one.process.is_running and not one.process.log.read_text():
        pass
    return one


def ended(one: Member) -> Member:
    one.process.wait(20)
    return one


def test_a_lander_that_runs_or_ended_well_when_asked_has_no_complaint(tmp_path: Path) -> None:
    one = ready(member(tmp_path, TRAP.format(code=0) + ASSIGNED + RUN))

    assert one.complaint() is None
    one.process.end()
    assert one.complaint() is None


@pytest.mark.parametrize("code", [0, 1])
def test_a_lander_that_ended_unasked_is_complained_of(tmp_path: Path, code: int) -> None:
    one = ended(member(tmp_path, f"raise SystemExit({code})"))

    assert f"ended with {code} unasked" in (one.complaint() or "")


def test_a_lander_that_fails_when_asked_to_end_is_complained_of(tmp_path: Path) -> None:
    one = ready(member(tmp_path, TRAP.format(code=3) + ASSIGNED + RUN))
    one.process.end()

    assert "ended with 3 after SIGTERM" in (one.complaint() or "")


def test_a_lander_that_was_killed_or_had_a_failpoint_to_die_at_has_none(tmp_path: Path) -> None:
    killed = member(tmp_path, RUN)
    killed.process.kill()
    suicide = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"

    assert killed.complaint() is None
    assert ended(member(tmp_path, suicide, "after-put:9")).complaint() is None
    assert "ended with -9 unasked" in (
        ended(member(tmp_path, suicide, "before-put:9:stop")).complaint() or ""
    )


def test_sigterm_itself_may_end_only_what_has_nothing_to_lose(tmp_path: Path) -> None:
    early = ready(member(tmp_path, READY + RUN))
    early.process.terminate()
    late = ready(member(tmp_path, ASSIGNED + RUN))
    late.process.terminate()

    assert ended(early).complaint() is None
    assert "ended with -15 after SIGTERM" in (ended(late).complaint() or "")


def test_a_row_is_red_where_a_lander_ended_by_itself_or_does_not_end_well(tmp_path: Path) -> None:
    made: Any = None
    good = ready(member(tmp_path, TRAP.format(code=0) + READY + RUN))
    stage = Stage(made, made, made, Options(), tmp_path, 1, members=[good])

    stage.require_whole()
    assert good.process.exit_code == 0

    for script in ("raise SystemExit(1)", TRAP.format(code=1) + READY + RUN):
        stage.members = [ready(member(tmp_path, script))]
        with pytest.raises(StuckError, match=r"one-\d ended with 1"):
            stage.require_whole()


class Sharing:
    """A lander that follows so many partitions."""

    def __init__(self, partitions: int, orders: Orders | None = None, running: bool = True) -> None:
        self.orders = orders or Orders()
        self.process = SimpleNamespace(is_running=running)
        self._partitions = partitions

    def follows(self) -> set[int]:
        return set(range(self._partitions))


@pytest.mark.parametrize(
    ("idle", "is_shared"),
    [
        (Sharing(0), False),
        (Sharing(0, Orders(forced=("t",))), True),
        (Sharing(0, Orders(failpoint="after-put")), True),
        (Sharing(0, running=False), True),
    ],
)
def test_a_row_begins_once_each_lander_of_the_group_that_lives_has_a_share(
    tmp_path: Path, idle: Any, is_shared: bool
) -> None:
    made: Any = None
    busy: Any = Sharing(3)
    stage = Stage(made, made, made, Options(), tmp_path, 1, members=[busy, idle])

    assert stage._is_shared() is is_shared
