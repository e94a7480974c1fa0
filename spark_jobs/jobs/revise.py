"""The way of every metric job: what is touched, computed anew, and appended where it differs."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import structlog
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import CommitConflictError, LakeError
from spark_jobs import commit, tables
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.report import JobSummary
from spark_jobs.schemas import METRIC_KEYS, SOURCE_SNAPSHOT, Table
from spark_jobs.transforms import revisions
from spark_jobs.transforms.sessions import in_sessions

_ATTEMPTS: Final = 20

_log = structlog.get_logger(component="metrics")


@dataclass(frozen=True)
class Metric:
    """A metric table, the events it is computed from, and how."""

    job: str
    source: Table
    target: Table
    compute: Callable[[JobContext, DataFrame], DataFrame]


@dataclass(frozen=True)
class Range:
    """Sessions from ``start`` to ``end``, both included; None is open."""

    start: date | None = None
    end: date | None = None

    def given(self) -> bool:
        """Return whether a range was asked for."""
        return self.start is not None or self.end is not None

    def filter(self) -> Column:
        """Return the range as a filter on ``session_date``."""
        session = F.col("session_date")
        low = session >= self.start if self.start else F.lit(True)
        return low & (session <= self.end if self.end else F.lit(True))


def run(context: JobContext, metric: Metric, sessions: Range) -> JobSummary:
    """Bring a metric up to its events, or recompute a range of sessions.

    Without a range: the sessions that got rows since the snapshot that the last run had covered;
    all of them when that snapshot is gone. With one: these sessions, whatever was covered.

    Raises:
        LakeError: what was written is not what was computed; main was left as it was.
        CommitConflictError: other runs were in the way too often.
    """
    summary = JobSummary(metric.job)
    began = context.clock.monotonic()
    tables.ensure(context.spark, (metric.source, metric.target))
    for _ in range(_ATTEMPTS):
        try:
            _attempt(context, metric, sessions, summary)
            break
        except CommitConflictError as error:
            _log.info("lost_the_race", job=metric.job, detail=str(error))
            summary.retries += 1
    else:
        raise CommitConflictError(f"{metric.job}: gave up after {_ATTEMPTS} attempts")
    summary.seconds = context.clock.monotonic() - began
    return summary


def _attempt(context: JobContext, metric: Metric, sessions: Range, summary: JobSummary) -> None:
    source = LakeTable(context.spark, metric.source.identifier)
    target = LakeTable(context.spark, metric.target.identifier)
    head, base, covered = source.head(), target.head(), _covered(target)
    if head == covered and not sessions.given():
        return
    scope = sessions.filter()
    if not sessions.given() and covered is not None and source.contains(covered):
        scope = _touched(context, metric, covered, head)
    # A range leaves the rest of the source's news to the next run without one.
    reached = covered if sessions.given() else head
    events = tables.at(context.spark, metric.source, head).where(scope)
    current = tables.at(context.spark, metric.target, base).where(scope)
    changed = _changed(context, metric, events, current).cache()
    try:
        rows = changed.count()
        read = events.count()
        if rows or reached != covered:
            new = changed if rows else None
            summary.add(_append(context, metric, base, new, rows, reached))
    finally:
        changed.unpersist()
    summary.read += read


def _covered(target: LakeTable) -> int | None:
    text = target.last_property(SOURCE_SNAPSHOT)
    return int(text) if text else None


def _touched(context: JobContext, metric: Metric, covered: int, head: int | None) -> Column:
    reader = context.spark.read.option("start-snapshot-id", covered)
    added = reader.option("end-snapshot-id", head).table(metric.source.identifier)
    days = [row[0] for row in added.select("session_date").distinct().collect()]
    return in_sessions(days)


def _changed(
    context: JobContext, metric: Metric, events: DataFrame, current: DataFrame
) -> DataFrame:
    computed = metric.compute(context, events)
    keys = METRIC_KEYS[metric.target.name]
    changed = revisions.changed(computed, revisions.latest(current, keys), keys)
    return changed.withColumn("computed_at", F.lit(context.clock.now()))


def _append(
    context: JobContext,
    metric: Metric,
    base: int | None,
    changed: DataFrame | None,
    rows: int,
    reached: int | None,
) -> commit.Staged:
    """Commit the new revisions to a branch, audit it, and move main to it."""
    properties = {} if reached is None else {SOURCE_SNAPSHOT: str(reached)}
    table = LakeTable(context.spark, metric.target.identifier)
    if base is None or table.head() != base:
        raise CommitConflictError(f"{table.identifier} has moved since its revisions were read")
    branch = f"{metric.target.name}_{uuid.uuid4().hex}"
    with commit.branches() as staged:
        staged.append(commit.stage(metric.target, table, base, branch, changed, properties))
        _audit(context, metric, staged[0], rows)
        staged[0].publish()
    return staged[0]


def _audit(context: JobContext, metric: Metric, staged: commit.Staged, rows: int) -> None:
    if staged.rows != rows:
        raise LakeError(f"{metric.target.identifier}: computed {rows} rows, wrote {staged.rows}")
    if not rows:
        return
    keys = METRIC_KEYS[metric.target.name]
    doubled = commit.written(context.spark, staged).groupBy(*keys).count().where("count > 1")
    example = doubled.first()
    if example is not None:
        raise LakeError(f"{metric.target.identifier}: two rows for {example.asDict()}")
