"""Row 21: a disk without a byte left, under a lander, under a broker, under a producer."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from drill.matrix.disk import SmallDisk, on_small_disk, why_no_disk
from drill.matrix.errors import SkippedError
from drill.matrix.members import Member, Orders
from drill.matrix.process import Process
from drill.matrix.row import Row
from drill.matrix.stage import Stage
from infra.local import files

_BROKER: Final = 3
_SPARE_MIB: Final = 48  # what a broker writes until the disk is filled on purpose
_SMALL_MIB: Final = 8
_DIES_S: Final = 90.0
_SENT_S: Final = 120.0
_FAIL_OVER_S: Final = 90.0
_LOG_LINES: Final = 400
_FULL: Final = "No space left on device"
# What the JVM says of a mapped index file whose page the disk cannot hold.
_MAPPED: Final = "a fault occurred in a recent unsafe memory access operation"
_SESSION: Final = ("--start", "2013-02-28", "--end", "2013-02-28", "--symbol", "AAPL")


def full(stage: Stage) -> None:
    """Fill the disks of one lander, one broker and one producer, one after another."""
    if reason := why_no_disk():
        raise SkippedError(reason)
    with SmallDisk(stage.folder / "small", _SMALL_MIB) as disk:
        stage.lander()
        _under_lander(stage, disk)
        _under_producer(stage, disk)
        stage.members.pop().process.end()
    _under_broker(stage)
    stage.healed()


def _under_lander(stage: Stage, disk: SmallDisk) -> None:
    (disk.folder / "run").mkdir()
    one = stage.lander(Orders(settings=(("TAPEHOUSE_STATE_DIR", str(disk.folder)),)))
    stage.steady()
    stage.prove(f"{one.name} tells of itself on the small disk", one.status)
    disk.fill()
    stage.prove("the lander's disk is full", disk.is_full)
    stage.expect(f"{one.name} says so", lambda: one.said("status_unwritten"), 30)
    told = len(one.said("landed"))
    stage.expect(f"{one.name} lands all the same", lambda: len(one.said("landed")) > told + 5)
    before = one.status()["updated_at"]  # whole, though nothing could be written
    disk.free()
    stage.expect(f"{one.name} tells again", lambda: one.status()["updated_at"] > before, 30)
    stage.expect("and leaves no half file", lambda: _no_drafts(one, disk.folder), 30)


def _no_drafts(one: Member, folder: Path) -> bool:
    return one.status() != {} and not list((folder / "run").glob("*.tmp"))


def _under_producer(stage: Stage, disk: SmallDisk) -> None:
    first = _producer(stage, disk, "full")
    disk.fill()
    first.start()
    stage.prove("the producer's disk is full", disk.is_full)
    stage.expect("the producer fails", lambda: first.exit_code not in (None, 0), _SENT_S)
    stage.expect("and names the disk", lambda: _FULL in first.log.read_text(), 0)
    disk.free()
    again = _producer(stage, disk, "free")
    again.start()
    stage.expect("with room again it sends everything", lambda: again.exit_code == 0, _SENT_S)
    _keep_ledgers(disk, stage.folder / "ledger")


def _producer(stage: Stage, disk: SmallDisk, name: str) -> Process:
    command = [sys.executable, "-m", "ingestion", "produce", "simulator", *_SESSION]
    command += ["--ledger", str(disk.folder / "ledger"), "--spool", str(disk.folder / "spool")]
    return stage.cluster.process(f"produce-{name}", [*command, "--run-id", f"r21-{name}"])


def _keep_ledgers(disk: SmallDisk, folder: Path) -> None:
    """Give the auditors what the producers on the small disk promised."""
    for path in (disk.folder / "ledger").glob("*.jsonl"):
        (folder / path.name).write_bytes(path.read_bytes())


def _under_broker(stage: Stage) -> None:
    broker = stage.cluster.brokers[_BROKER]
    stage.blinds(f"broker {_BROKER} leads partitions and is away", _FAIL_OVER_S, "I4")
    _away(stage, broker)
    with on_small_disk(stage.cluster.data(_BROKER), _SPARE_MIB) as disk:
        broker.start()
        stage.cluster.settle()
        disk.fill()
        stage.prove(f"broker {_BROKER}'s disk is full", disk.is_full)
        stage.expect(f"broker {_BROKER} gives up", lambda: not broker.is_running, _DIES_S)
        stage.expect("and names the disk", lambda: _names_the_disk(broker), 0)
        stage.prove("the others go on without it", _is_out(stage), _FAIL_OVER_S)
        stage.expect_progress("landing goes on with the other brokers")
        disk.free()
        broker.start()
        stage.cluster.settle()
        _away(stage, broker)
    broker.start()
    stage.cluster.settle()


def _away(stage: Stage, broker: Process) -> None:
    """Kill the broker and wait until the others know it: only then can it be seen to be back."""
    broker.kill()
    stage.prove(f"broker {_BROKER} is out of sync", _is_out(stage), _FAIL_OVER_S)


def _is_out(stage: Stage) -> Callable[[], bool]:
    return lambda: not stage.sight.is_in_sync(_BROKER)


def _names_the_disk(broker: Process) -> bool:
    return any(words in files.last_lines(broker.log, _LOG_LINES) for words in (_FULL, _MAPPED))


ROWS: Final = (Row(21, "disk full under a lander, a producer, a broker", full),)
