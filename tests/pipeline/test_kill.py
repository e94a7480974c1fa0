"""The lander's kill, on real processes that write status files as a lander does."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingestion.clock import SystemClock, rfc3339
from ingestion.errors import StackError, StoreUnavailableError
from ingestion.land.protocol import Partition
from pipeline.kill import LanderKill

# Runs as `python -m ingestion land`, like the lander: by its command line it is known.
_LANDER = """
import signal
print("up", flush=True)
while True:
    signal.pause()
"""
DEADLINE_S = 10.0
POSITION = 100
PARTITION = Partition("stock-quotes", 2)
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start dummies, landers by default, each in a process of its own."""
    package = tmp_path / "dummy" / "ingestion"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(_LANDER)
    started = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, *(arguments or ("-m", "ingestion", "land"))]
        process = subprocess.Popen(command, cwd=package.parent, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def write_status(run: Path, pid: int, buffered: int = 5, age_s: float = 0) -> Path:
    """What a lander tells, as far as the kill reads it."""
    row = {
        "topic": PARTITION.topic,
        "partition": PARTITION.number,
        "generation": "g1",
        "position": POSITION,
        "buffered_records": buffered,
    }
    idle = {**row, "partition": 3, "position": 7_000, "buffered_records": 0}
    status = {
        "pid": pid,
        "updated_at": rfc3339(datetime.now(UTC) - timedelta(seconds=age_s)),
        "buffered_records": buffered,
        "partitions": [row, idle],
    }
    path = run / f"lander-{pid}.json"
    path.write_text(json.dumps(status))
    return path


def kill(run: Path, landed: Callable[[Partition, str], int] | int) -> LanderKill:
    answer = landed if callable(landed) else lambda *_: landed
    return LanderKill(run, answer, SystemClock())


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_stopped(process: "subprocess.Popen[bytes]") -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


def test_a_lander_that_holds_unlanded_records_is_killed_and_they_are_counted(
    run: Path, start: Start
) -> None:
    lander = start()
    write_status(run, lander.pid)
    asked = []

    def landed(partition: Partition, generation: str) -> int:
        wait_until(lambda: is_stopped(lander))  # what it holds is counted while it stands still
        asked.append((partition, generation))
        return POSITION - 3

    one = kill(run, landed)
    one.attempt()

    assert one.held == 3
    assert lander.wait(DEADLINE_S) == -signal.SIGKILL
    assert asked == [(PARTITION, "g1")], "only a partition with records in the buffer is asked for"


def test_only_one_lander_is_killed(run: Path, start: Start) -> None:
    landers = [start(), start()]
    for lander in landers:
        write_status(run, lander.pid)
    one = kill(run, 0)

    one.attempt()
    one.attempt()

    wait_until(lambda: any(lander.poll() is not None for lander in landers))
    assert sorted(str(lander.poll()) for lander in landers) == [str(-signal.SIGKILL), "None"]


def test_a_lander_whose_records_all_are_in_bronze_goes_on(run: Path, start: Start) -> None:
    lander = start()
    write_status(run, lander.pid)
    one = kill(run, POSITION)

    one.attempt()

    assert one.held is None
    wait_until(lambda: not is_stopped(lander))
    assert lander.poll() is None


def test_a_lander_goes_on_where_storage_does_not_answer(run: Path, start: Start) -> None:
    def landed(*_: object) -> int:
        wait_until(lambda: is_stopped(lander))
        raise StoreUnavailableError("away")

    lander = start()
    write_status(run, lander.pid)

    with pytest.raises(StoreUnavailableError):
        kill(run, landed).attempt()

    wait_until(lambda: not is_stopped(lander))
    assert lander.poll() is None


def test_a_lander_that_holds_nothing_is_not_even_stopped(run: Path, start: Start) -> None:
    def landed(*_: object) -> int:
        raise AssertionError("nothing to ask for")

    lander = start()
    write_status(run, lander.pid, buffered=0)

    kill(run, landed).attempt()

    assert lander.poll() is None


def test_the_file_of_a_dead_lander_does_not_hide_the_running_one(run: Path, start: Start) -> None:
    dead, alive = start(), start()
    write_status(run, alive.pid)
    dead.kill()
    dead.wait(DEADLINE_S)
    newest = write_status(run, dead.pid, buffered=900)
    os.utime(newest, (time.time() + 60, time.time() + 60))
    one = kill(run, POSITION - 1)

    one.attempt()

    assert one.held == 1
    assert alive.wait(DEADLINE_S) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("arguments", "age_s"),
    [(("-c", _LANDER), 0), (("-c", _LANDER, "land", "ingestion", "-m"), 0), ((), 3600)],
    ids=["not a lander", "the lander's words in another order", "a lander younger than the status"],
)
def test_another_process_with_a_dead_landers_number_is_left_alone(
    run: Path, start: Start, arguments: tuple[str, ...], age_s: float
) -> None:
    other = start(*arguments)
    name = write_status(run, other.pid, age_s=age_s).name

    with pytest.raises(StackError, match="expected the status file of a running lander") as caught:
        kill(run, 0).finish(timeout_s=0.2)

    assert name in str(caught.value)
    assert other.poll() is None
    assert not is_stopped(other)


def test_no_status_file_at_all_is_an_error_that_names_the_folder(run: Path) -> None:
    with pytest.raises(StackError, match="ended: none") as caught:
        kill(run, 0).finish(timeout_s=0)

    assert str(run) in str(caught.value)


def test_a_lander_that_never_held_anything_is_told_from_no_lander(run: Path, start: Start) -> None:
    lander = start()
    write_status(run, lander.pid, buffered=0)

    with pytest.raises(StackError, match="expected the lander to hold a record"):
        kill(run, 0).finish(timeout_s=0.2)

    assert lander.poll() is None


def test_finish_waits_for_a_lander_that_comes_up_and_holds_something(
    run: Path, start: Start
) -> None:
    class Comes(SystemClock):
        """The world moves on while the kill waits: a lander starts, then reads records."""

        def sleep(self, seconds: float) -> None:
            if not landers:
                landers.append(start())
                write_status(run, landers[0].pid, buffered=0)
            else:
                write_status(run, landers[0].pid, buffered=4)

    landers: list[subprocess.Popen[bytes]] = []

    held = LanderKill(run, lambda *_: POSITION - 4, Comes()).finish(timeout_s=DEADLINE_S)

    assert held == 4
    assert landers[0].wait(DEADLINE_S) == -signal.SIGKILL


def test_a_status_file_that_vanishes_is_no_error(
    run: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    lander = start()
    gone = write_status(run, lander.pid)

    def read_text(path: Path, *arguments: Any, **options: Any) -> str:
        gone.unlink(missing_ok=True)  # between the listing and the reading
        return original(path, *arguments, **options)

    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", read_text)
    one = kill(run, 0)
    one.attempt()

    assert one.held is None
    assert lander.poll() is None
