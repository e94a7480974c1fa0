"""A compactor as a process of its own, which waits at a barrier before it moves main.

Usage: compactor.py STATE ROUNDS BARRIER_FOLDER NAME. Prints one JSON line: its summaries.
"""

import json
import sys
import time
from pathlib import Path

from ingestion import calendar, logs
from ingestion.clock import SystemClock
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import commit, session
from spark_jobs.context import JobContext
from spark_jobs.jobs import compact
from tests.spark_jobs.folder_bronze import FolderBronze

_TIMEOUT_S = 300


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear")
        time.sleep(0.005)


def main(state: Path, rounds: int, barrier: Path, name: str) -> None:
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state / name),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db", driver_memory="512m"),
        master="local[1]",
        warehouse=f"file://{state}/warehouse",
    )
    logs.configure()
    publish = commit.Staged.publish
    waiting = {"round": -1}

    def at_the_barrier(staged: commit.Staged) -> None:
        number = waiting["round"]
        if number >= 0:
            waiting["round"] = -1
            (barrier / f"{name}-{number}").touch()
            wait_for(barrier / f"go-{number}")
        publish(staged)

    commit.Staged.publish = at_the_barrier  # type: ignore[method-assign]
    summaries = []
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "1")
        context = JobContext(spark, FolderBronze(state / "bronze"), calendar.get(), SystemClock())
        for number in range(rounds):
            wait_for(barrier / f"start-{number}")
            waiting["round"] = number
            summaries.append(compact.run(context).as_dict())
            (barrier / f"{name}-{number}").touch()
            (barrier / f"{name}-{number}-done").touch()
    sys.stdout.write(json.dumps(summaries) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
