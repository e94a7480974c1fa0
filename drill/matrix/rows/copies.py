"""Row 22: a producer that is killed and sends everything again; Spark's disk full on the way."""

import json
import sys
from pathlib import Path
from typing import Final

from drill.matrix.disk import SmallDisk, why_no_disk
from drill.matrix.errors import ViolatedError
from drill.matrix.lake import LANDERS, LOAD_RATE, Lake
from drill.matrix.process import Process
from drill.matrix.row import Row
from drill.matrix.stage import Stage

_SENT_S: Final = 120.0
_KILLED_AFTER: Final = 1_000
_SPARK_MIB: Final = 512
_FAILS_S: Final = 300.0  # ten seconds on an idle machine
_SIMULATOR: Final = (
    *("produce", "simulator", "--start", "2013-02-27", "--end", "2013-03-01"),
    *("--symbol", "AAPL", "--quote-interval", "0"),
)


def again(stage: Stage) -> None:
    """Kill a producer in the middle of a batch, and send all of it again with the same ids."""
    stage.landers(2, LANDERS)
    stage.steady()
    first = _producer(stage, "first", "--rate", "1000")
    first.start()
    stage.prove("the producer is in the middle", lambda: _is_in_the_middle(stage), _SENT_S)
    first.kill()
    stage.prove("the producer is gone by signal 9", first.was_killed)
    second = _producer(stage, "second")
    second.start()
    stage.expect("started again, it sends everything", lambda: second.exit_code == 0, _SENT_S)
    stage.healed()
    stage.expect_progress("bronze has both")
    lake = Lake(stage)
    _full_temporary(stage, lake)
    found = lake.job("compact")["compact"]["duplicates"]
    least, most = judge_copies(_ledger(stage, "first"), _ledger(stage, "second"), found)
    stage.notes |= {"duplicates": found, "at_least": least, "at_most": most}
    stage.reactions.append(f"the lake reports {found} copies, of {least} to {most} sent twice")
    lake.require_sound()


def _producer(stage: Stage, name: str, *more: str) -> Process:
    command = [sys.executable, "-m", "ingestion", *_SIMULATOR, *more]
    command += ["--ledger", str(stage.folder / "ledger"), "--run-id", _run_id(stage, name)]
    return stage.cluster.process(_run_id(stage, name), command)


def _run_id(stage: Stage, name: str) -> str:
    return f"r{stage.row}-{name}"


def _ledger(stage: Stage, name: str) -> Path:
    return stage.folder / "ledger" / f"{_run_id(stage, name)}.jsonl"


def _is_in_the_middle(stage: Stage) -> bool:
    path = _ledger(stage, "first")
    return path.exists() and len(_ids(path, "acked")) >= _KILLED_AFTER


def _ids(path: Path, op: str) -> set[str]:
    """Return the ids that a ledger has with an outcome; its last line may be torn."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return {one["id"] for one in map(json.loads, lines) if one["op"] == op}


def judge_copies(first: Path, second: Path, found: int) -> tuple[int, int]:
    """Compare the copies that the lake reports with what two runs' ledgers make of it.

    Returns the bounds: what the first run had confirmed, and what it had only intended as well.

    Raises:
        ViolatedError: there were none, or the lake reports another number.
    """
    sent = _ids(second, "acked")
    least, most = (len(_ids(first, op) & sent) for op in ("acked", "intend"))
    if not 0 < least <= found <= most:
        raise ViolatedError(f"{least} to {most} records were sent twice, the lake reports {found}")
    return least, most


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
    stage.expect("the compaction fails", lambda: process.exit_code not in (None, 0), _FAILS_S)
    with lake.tables() as tables:
        names = [name for (name,) in tables.execute("show tables").fetchall()]
        rows = sum(len(tables.table(name).fetchall()) for name in names)
    stage.expect("and has published nothing", lambda: rows == 0, 0)
    disk.free()


ROWS: Final = (
    Row(22, "producer killed in mid-batch sends all again", again, brokers=1, rate=LOAD_RATE),
)
