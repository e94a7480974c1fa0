"""The product's jobs over bronze in folders, their own process.

Usage: ours.py LAKES, JSON: a list of {"bronze": folder, "state": folder}, which may say how many
"objects" of each partition there are, "max_records" of a commit, and "jobs" (only compact where it
does not). They are served one after the other in one session, whose start counts for none. Prints
a line of JSON for each job: when it began and ended, its summary, and the seconds of each step.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pyspark.sql import SparkSession

from benchmarks.spark import steps
from benchmarks.spark.folder import FolderBronze
from infra.local.services import CLUSTER
from ingestion import calendar, logs
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.context import JobContext
from spark_jobs.jobs import compact, daily_metrics
from spark_jobs.jobs.revise import Range
from spark_jobs.report import JobSummary

_START_S: Final = 60.0
_MAX_RECORDS: Final = compact.MAX_RECORDS
_JOBS: Final[dict[str, Callable[[JobContext], JobSummary]]] = {
    "compact": compact.run,
    "daily-metrics": lambda context: daily_metrics.run(context, Range()),
}


def main(lakes: list[dict[str, Any]]) -> None:
    """Run the jobs."""
    logs.configure()
    state = Path(lakes[0]["state"])
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db"),
        warehouse=f"file://{state}/warehouse",
    )
    with session.running(plan) as spark:
        _wait_for_executors(spark, plan)
        for lake in lakes:
            bronze = FolderBronze(Path(lake["bronze"]), lake.get("objects"))
            context = _context(spark, bronze, Path(lake["state"]))
            compact.MAX_RECORDS = lake.get("max_records", _MAX_RECORDS)  # type: ignore[misc]
            for job in lake.get("jobs", ["compact"]):
                begin = time.time()
                with steps.timed() as spent:
                    summary = _JOBS[job](context)
                said = {"begin": begin, "end": time.time(), "steps": spent, **summary.as_dict()}
                sys.stdout.write(json.dumps(said) + "\n")
                sys.stdout.flush()


def _wait_for_executors(spark: SparkSession, plan: session.SessionPlan) -> None:
    """Wait until a cluster's executors are there: their start is the session's, not a job's."""
    tracker = spark.sparkContext._jsc.sc().statusTracker()
    others = len(CLUSTER) - 1 if plan.is_standalone() else 0
    deadline = time.monotonic() + _START_S
    while len(tracker.getExecutorInfos()) <= others:
        if time.monotonic() > deadline:
            raise TapehouseError(f"expected {others} executors within {_START_S} s")
        time.sleep(0.05)


def _context(spark: SparkSession, bronze: FolderBronze, state: Path) -> JobContext:
    """Return the jobs' context for a lake in a folder, in a session of its own."""
    state.mkdir(exist_ok=True)
    own = spark.newSession()
    own.conf.set("spark.sql.catalog.lake.uri", f"jdbc:sqlite:{state}/catalog.db")
    own.conf.set("spark.sql.catalog.lake.warehouse", f"file://{state}/warehouse")
    # A catalog takes the settings of the session that is active when it is first used.
    own.sql("show namespaces in lake").collect()
    return JobContext(own, bronze, calendar.get(), SystemClock())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
