"""``python -m drill.lake.worker``: the lake's jobs, one order after another, broken off where told.

Not a command of ``drill``: its other processes need no Spark, and their memory is measured. An
order is a line of JSON on standard input, its answer one on standard output.
"""

import json
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from drill.lake import breaks
from ingestion import calendar, logs
from ingestion.clock import SystemClock
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import failures, session
from spark_jobs.bronze import S3Bronze
from spark_jobs.context import JobContext
from spark_jobs.jobs import anomalies, bars, compact, daily_metrics, maintain, window_metrics
from spark_jobs.jobs.revise import Range

# Upkeep as short as nobody takes it without force: all that may go, goes now.
UPKEEP: Final = maintain.Options(True, timedelta(0), timedelta(0), force=True)
_JOBS: Final = {
    "compact": lambda context: compact.run(context).as_dict(),
    "maintain": lambda context: maintain.run(context, UPKEEP, {}).as_dict(),
    "bars": lambda context: bars.run(context, Range()).as_dict(),
    "daily": lambda context: daily_metrics.run(context, Range()).as_dict(),
    "windows": lambda context: window_metrics.run(context, Range()).as_dict(),
    "anomalies": lambda context: anomalies.run(context, Range()).as_dict(),
}


def lake_job(
    name: Annotated[str, typer.Argument(help="Its name, and that of its folder.")],
    warehouse: Annotated[str, typer.Option(help="Another lake than the stack's own.")] = "",
) -> None:
    """Run jobs of the lake as orders say, in one session."""
    logs.configure()
    project, store, lake = ProjectSettings.load(), StoreSettings.load(), LakeSettings.load()
    folder = project.state("jobs", name)
    uri = f"sqlite:///{folder / 'catalog.db'}" if warehouse else lake.uri()
    plan = session.SessionPlan(
        project.model_copy(update={"state_dir": folder}),
        store,
        lake.model_copy(update={"catalog_uri": uri, "driver_memory": "512m"}),
        master="local[1]",
        warehouse=f"s3://{store.lake_bucket}/{warehouse}" if warehouse else None,
    )
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "1")
        context = JobContext(
            spark, S3Bronze.connect(store), calendar.get(project.calendar), SystemClock()
        )
        for line in sys.stdin:
            answer = _obey(context, json.loads(line), folder, name)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _obey(context: JobContext, order: dict[str, Any], folder: Path, name: str) -> dict[str, Any]:
    with ExitStack() as armed:
        if order.get("die"):
            point, nth = order["die"]
            act = breaks.die(folder / "died", f"{point} {nth}")
            armed.enter_context(breaks.at(point, nth, act))
        if order.get("meet"):
            act = breaks.meet(Path(order["meet"]), name)
            armed.enter_context(breaks.at("before-publish", 1, act))
        with failures.translated():
            return _JOBS[order["job"]](context)


if __name__ == "__main__":
    typer.run(lake_job)
