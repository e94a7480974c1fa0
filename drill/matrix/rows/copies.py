"""Row 22: a producer that is killed and sends everything again; Spark's disk full on the way."""

import json
import sys
from typing import Final

from drill.matrix.disk import SmallDisk, why_no_disk
from drill.matrix.errors import ViolatedError
from drill.matrix.lake import LOAD_RATE, Lake
from drill.matrix.process import Process
from drill.matrix.row import Row
from drill.matrix.stage import Stage

_SENT_S: Final = 60.0
_KILLED_AFTER: Final = 1_000
_SPARK_MIB: Final = 512
_SIMULATOR: Final = (
    *("produce", "simulator", "--start", "2013-02-27", "--end", "2013-03-01"),
    *("--symbol", "AAPL", "--quote-interval", "0"),
)


def again(stage: Stage) -> None:
    """Kill a producer in the middle of a batch, and send all of it again with the same ids."""
    stage.landers(2)
    stage.steady()
    first = _producer(stage, "first", "--rate", "1000")
    first.start()
    stage.prove("the producer is in the middle", lambda: _acked(stage, "first"), _SENT_S)
    first.kill()
    stage.prove("the producer is gone by signal 9", first.was_killed)
    second = _producer(stage, "second")
    second.start()
    stage.expect("started again, it sends everything", lambda: second.exit_code == 0, _SENT_S)
    stage.healed()
    stage.expect_progress("bronze has both")
    lake = Lake(stage)
    _full_temporary(stage, lake)
    _judge_copies(stage, lake.job("compact")["compact"]["duplicates"])
    lake.require_sound("behind")


def _producer(stage: Stage, name: str, *more: str) -> Process:
    command = [sys.executable, "-m", "ingestion", *_SIMULATOR, *more]
    command += ["--ledger", str(stage.folder / "ledger"), "--run-id", _run_id(stage, name)]
    return stage.cluster.process(_run_id(stage, name), command)


def _run_id(stage: Stage, name: str) -> str:
    return f"r{stage.row}-{name}"


def _acked(stage: Stage, name: str) -> bool:
    return len(_ids(stage, name, "acked")) >= _KILLED_AFTER


def _ids(stage: Stage, name: str, op: str) -> set[str]:
    """Return the ids that a run's ledger has with an outcome; its last line may be torn."""
    path = stage.folder / "ledger" / f"{_run_id(stage, name)}.jsonl"
    if not path.exists():
        return set()
    lines = path.read_bytes().split(b"\n")[:-1]
    return {one["id"] for one in map(json.loads, lines) if one["op"] == op}


def _judge_copies(stage: Stage, found: int) -> None:
    """Compare the copies that the lake reports with what both runs have promised."""
    sent = _ids(stage, "second", "acked")
    least = len(_ids(stage, "first", "acked") & sent)
    most = len(_ids(stage, "first", "intend") & sent)
    stage.notes["sent_twice_at_least"], stage.notes["sent_twice_at_most"] = least, most
    stage.notes["duplicates"] = found
    if not 0 < least <= found <= most:
        raise ViolatedError(f"{least} to {most} records were sent twice, the lake reports {found}")
    stage.proofs.append(f"the lake reports the {found} records that were sent twice")


def _full_temporary(stage: Stage, lake: Lake) -> None:
    """Let a compaction meet a full temporary folder: it fails, and nothing is published."""
    if reason := why_no_disk():
        stage.proofs.append(f"Spark's temporary folder full: skipped ({reason})")
        return
    disk = SmallDisk(lake.temporary, _SPARK_MIB)
    stage.closing.callback(disk.close)
    disk.fill()
    stage.prove("Spark's disk is full", disk.is_full)
    process, _ = lake.start("compact")
    stage.expect("the compaction fails", lambda: process.exit_code not in (None, 0), 120)
    with lake.tables() as tables:
        names = {name for (name,) in tables.execute("show tables").fetchall()}
        rows = sum(tables.table(name).count("*").fetchall()[0][0] for name in names)
    stage.expect("and has published nothing", lambda: rows == 0, 0)
    disk.free()


ROWS: Final = (
    Row(22, "producer killed in mid-batch sends all again", again, brokers=1, rate=LOAD_RATE),
)
