"""A job over a folder lake that is killed on its way, JVM and all; needs a session of its own.

Usage: victim.py STATE compact|maintain POINT NTH. Where it died is in ``STATE/died``.
"""

import sys
from datetime import timedelta
from pathlib import Path

from drill.lake import breaks
from ingestion import calendar, logs
from ingestion.clock import SystemClock
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.context import JobContext
from spark_jobs.jobs import compact, maintain
from tests.spark_jobs.folder_bronze import FolderBronze


def main(state: Path, job: str, point: str, nth: int) -> None:
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state / "victim"),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db", driver_memory="512m"),
        master="local[1]",
        warehouse=f"file://{state}/warehouse",
    )
    logs.configure()
    at_once = maintain.Options(True, timedelta(0), timedelta(0), force=True)
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "1")
        context = JobContext(spark, FolderBronze(state / "bronze"), calendar.get(), SystemClock())
        with breaks.at(point, nth, breaks.die(state / "died", f"{point} {nth}")):
            if job == "compact":
                compact.run(context)
            else:
                maintain.run(context, at_once, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
