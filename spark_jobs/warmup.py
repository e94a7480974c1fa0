"""Make the class-data archive with which later sessions start in about half the time."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import SparkSession

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.topics import REALTIME
from ingestion.errors import LakeError
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import jvm, session
from spark_jobs.context import JobContext
from spark_jobs.jobs import bars, compact, daily_metrics, window_metrics
from spark_jobs.jobs.revise import Range


class _NoBronze:
    """A bronze that holds one gap: enough to load the classes that the jobs use."""

    def folders(self, prefix: str) -> list[str]:
        child = {f"{REALTIME}/": "g=0/", f"{REALTIME}/g=0/": "p=00000/"}.get(prefix)
        return [f"{prefix}{child}"] if child else []

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        key = f"{prefix}{0:020d}.jsonl.zst"
        return iter([key] if key > start_after else [])

    def metadata(self, key: str) -> dict[str, str]:
        return {"next": "1", "count": "0"}

    def uri(self, key: str) -> str:
        raise AssertionError(f"{key} has no records")


def make_archive() -> Path:
    """Run the jobs over nothing in a folder of their own, and archive the classes they loaded.

    Raises:
        LakeError: the JVM wrote no archive.
    """
    target = jvm.archive()
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with tempfile.TemporaryDirectory(prefix="tapehouse-warm-up-") as folder:
        state = Path(folder)
        plan = session.SessionPlan(
            ProjectSettings(state_dir=state),
            StoreSettings(),
            LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db"),
            warehouse=f"file://{state}/warehouse",
            extra_java_options=(f"-XX:ArchiveClassesAtExit={partial}", "-Xlog:disable"),
        )
        with session.running(plan) as spark:
            _load_classes(spark)
    if not partial.is_file():
        raise LakeError(f"expected the JVM to write {partial}, found no file")
    for old in target.parent.glob("spark-*.jsa"):
        old.unlink()
    partial.replace(target)
    return target


def _load_classes(spark: SparkSession) -> None:
    context = JobContext(spark, _NoBronze(), calendar.get(), SystemClock())
    compact.run(context)
    daily_metrics.run(context, Range())
    bars.run(context, Range())
    window_metrics.run(context, Range())
    gateway = spark.sparkContext._jvm
    assert gateway is not None  # noqa: S101 - a running session has its JVM
    for name in ("s3a.S3AFileSystem", "s3a.SimpleAWSCredentialsProvider"):
        gateway.java.lang.Class.forName(f"org.apache.hadoop.fs.{name}")
