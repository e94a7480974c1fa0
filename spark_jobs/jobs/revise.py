"""The way of every metric job: what is touched, computed anew, and appended where it differs."""

import uuid
from typing import Final

import structlog
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import CommitConflictError, LakeError
from spark_jobs import commit, tables
from spark_jobs.clocks import Clocks
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs import news
from spark_jobs.jobs.metric import Metric, Range
from spark_jobs.report import JobSummary
from spark_jobs.schemas import METRIC_KEYS, NOTHING
from spark_jobs.transforms import finality, revisions

__all__ = ["Metric", "Range", "run"]

_ATTEMPTS: Final = 20

_log = structlog.get_logger(component="metrics")


def run(context: JobContext, metric: Metric, sessions: Range) -> JobSummary:
    """Bring a metric up to its events, or recompute a range of sessions.

    Without a range: the sessions that got rows since the snapshot that the last run had covered,
    and those whose rows may have become final; all of them when that snapshot is gone. With one:
    these sessions, whatever was covered.

    Raises:
        LakeError: what was written is not what was computed; main was left as it was.
        CommitConflictError: other runs were in the way too often.
    """
    summary = JobSummary(metric.job)
    began = context.clock.monotonic()
    tables.ensure(context.spark, (*metric.inputs, metric.target))
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
    sources = {table.name: LakeTable(context.spark, table.identifier) for table in metric.inputs}
    target = LakeTable(context.spark, metric.target.identifier)
    base, state = target.head(), news.standing(metric, sources, target)
    if state.is_current(metric) and not sessions.given():
        return
    gained = news.gained(context, metric, sources, state)
    now = news.now(context, metric, state, gained)
    # A range leaves the rest of the sources' news to the next run without one.
    if sessions.given():
        wanted, reached, told = sessions.sessions(), state.covered, state.seen
    else:
        wanted = news.touched(context, metric, state, gained, now)
        reached, told = state.heads, now
    events = news.events(context, metric, state, wanted)
    current = news.at(context, metric.target, base).where(wanted.filter())
    changed = _changed(context, metric, events, current, now).cache()
    try:
        rows = changed.count()
        read = events.count()
        if rows or reached != state.covered:
            new = changed if rows else None
            properties = news.properties(metric, reached, told)
            summary.add(_append(context, metric, base, new, rows, properties))
    finally:
        changed.unpersist()
    summary.read += read


def _changed(
    context: JobContext,
    metric: Metric,
    events: DataFrame,
    current: DataFrame,
    now: Clocks | None,
) -> DataFrame:
    computed = metric.compute(context, events)
    keys, nothing = METRIC_KEYS[metric.target.name], NOTHING.get(metric.target.name)
    final = finality.is_final(metric.end, now or {}, context.lateness) if metric.end else None
    latest = revisions.latest(current, keys)
    changed = revisions.changed(computed, latest, keys, nothing, final)
    return changed.withColumn("computed_at", F.lit(context.clock.now()))


def _append(
    context: JobContext,
    metric: Metric,
    base: int | None,
    changed: DataFrame | None,
    rows: int,
    properties: dict[str, str],
) -> commit.Staged:
    """Commit the new revisions to a branch, audit it, and move main to it."""
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
