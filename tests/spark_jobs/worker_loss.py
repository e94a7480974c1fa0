"""Jobs on a given master, as a process of its own that waits in the middle of the first.

Usage: worker_loss.py STATE MASTER JOB... Touches ``STATE/staged`` when the first table's rows are
on their branch, and goes on when ``STATE/go`` is there.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from ingestion import calendar, logs
from ingestion.clock import SystemClock
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import commit, session
from spark_jobs.context import JobContext
from spark_jobs.jobs import anomalies, bars, compact, daily_metrics, window_metrics
from spark_jobs.jobs.revise import Range
from tests.spark_jobs.compactor import wait_for
from tests.spark_jobs.folder_bronze import FolderBronze

JOBS = {
    "compact": compact.run,
    "bars": partial(bars.run, sessions=Range()),
    "daily": partial(daily_metrics.run, sessions=Range()),
    "windows": partial(window_metrics.run, sessions=Range()),
    "anomalies": partial(anomalies.run, sessions=Range()),
}


def main(state: Path, master: str, jobs: list[str]) -> None:
    lake = LakeSettings.load()
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state),
        StoreSettings(),
        LakeSettings(
            catalog_uri=f"sqlite:///{state}/catalog.db",
            driver_memory="512m",
            executor_memory=lake.executor_memory,
            cluster_secret=lake.cluster_secret,
        ),
        master=master,
        warehouse=f"file://{state}/warehouse",
    )
    logs.configure()
    stage = commit.stage

    def then_wait(*arguments: Any, **named: Any) -> commit.Staged:
        staged = stage(*arguments, **named)
        (state / "staged").touch()
        wait_for(state / "go")
        return staged

    commit.stage = then_wait
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        context = JobContext(spark, FolderBronze(state / "bronze"), calendar.get(), SystemClock())
        for name in jobs:
            JOBS[name](context)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
