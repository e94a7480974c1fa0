"""Two compactors as two processes, both at the point of moving main: one wins, none doubles."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ingestion.settings import ROOT
from spark_jobs.schemas import REJECTS, TRADES
from tests.spark_jobs.compactor import wait_for
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import trade

ROUNDS = 1  # `make drill-lake` has 50
NAMES = ("one", "two")


def start(lake: Lake, barrier: Path, name: str) -> subprocess.Popen[str]:
    arguments = [str(lake.state), str(ROUNDS), str(barrier), name]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.spark_jobs.compactor", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_compactors_leave_one_result(lake: Lake, tmp_path: Path) -> None:
    barrier = tmp_path / "barrier"
    barrier.mkdir()
    processes = [start(lake, barrier, name) for name in NAMES]
    try:
        for number in range(ROUNDS):
            new = [trade(10 * number + i) for i in range(10)]
            lake.send_trades([*new, new[0]], start=11 * number)
            (barrier / f"start-{number}").touch()
            for name in NAMES:
                wait_for(barrier / f"{name}-{number}")
            (barrier / f"go-{number}").touch()
            for name in NAMES:
                wait_for(barrier / f"{name}-{number}-done")
        outputs = [process.communicate(timeout=120)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    summaries = [json.loads(output) for output in outputs]
    assert lake.rows(TRADES).count() == 10 * ROUNDS
    assert lake.rows(TRADES).select("event_id").distinct().count() == 10 * ROUNDS
    assert lake.rows(REJECTS).count() == ROUNDS
    for number in range(ROUNDS):
        both = [summary[number] for summary in summaries]
        # Both stood before the fast-forward with the same rows: one was refused.
        assert sum(one["retries"] for one in both) >= 1
        assert sum(one["written"].get("trades", 0) for one in both) == 10
