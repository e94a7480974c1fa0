"""The way of every metric job: what is touched, computed anew, and appended where it differs."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import reduce
from itertools import pairwise
from typing import Final

import structlog
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import CommitConflictError, LakeError
from spark_jobs import clocks, commit, tables
from spark_jobs.clocks import CLOCKS, Clocks
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.report import JobSummary
from spark_jobs.schemas import METRIC_KEYS, NOTHING, SOURCE_SNAPSHOT, Table
from spark_jobs.transforms import finality, revisions
from spark_jobs.transforms.sessions import in_sessions

_ATTEMPTS: Final = 20

Snapshots = dict[str, int | None]

_log = structlog.get_logger(component="metrics")


@dataclass(frozen=True)
class Metric:
    """A metric table, the events it is computed from, and how.

    ``end`` is the column with the instant at which a row's time is over; where there is one, rows
    say whether they are final. ``beside`` are tables whose rows of a session, and of the one before
    it, the metric's rows of the session depend on too; ``compute`` reads them itself.
    """

    job: str
    source: Table
    target: Table
    compute: Callable[[JobContext, DataFrame], DataFrame]
    end: str | None = None
    beside: tuple[Table, ...] = ()

    @property
    def inputs(self) -> tuple[Table, ...]:
        """All tables that the metric is computed from."""
        return (self.source, *self.beside)

    def snapshot_property(self, table: Table) -> str:
        """Return the name of the property with the snapshot of an input that is covered."""
        return SOURCE_SNAPSHOT + ("" if table is self.source else f".{table.name}")


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


@dataclass(frozen=True)
class _News:
    """What the source has gained: the sessions of its rows, and their newest fetch per source."""

    days: frozenset[date]
    clocks: Clocks


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
    heads = {name: source.head() for name, source in sources.items()}
    base, covered = target.head(), _covered(metric, target)
    seen = clocks.decode(target.last_property(CLOCKS))
    if heads == covered and not sessions.given() and not _predates_clocks(metric, seen):
        return
    news = _news(context, metric, sources, covered)
    now = _now(context, metric, heads[metric.source.name], seen, news)
    # A range leaves the rest of the sources' news to the next run without one.
    if sessions.given():
        scope, reached, told = sessions.filter(), covered, seen
    else:
        scope, reached, told = _scope(context, metric, seen, news, now), heads, now
    events = _at(context, metric.source, heads[metric.source.name]).where(scope)
    current = _at(context, metric.target, base).where(scope)
    changed = _changed(context, metric, events, current, now).cache()
    try:
        rows = changed.count()
        read = events.count()
        if rows or reached != covered:
            new = changed if rows else None
            properties = _properties(metric, reached, told)
            _add(summary, _append(context, metric, base, new, rows, properties))
    finally:
        changed.unpersist()
    summary.read += read


def _add(summary: JobSummary, staged: commit.Staged) -> None:
    summary.commits += 1
    summary.files += staged.files
    summary.written[staged.spec.name] += staged.rows


def _covered(metric: Metric, target: LakeTable) -> Snapshots:
    """Return the snapshot of each input that the target covers."""
    texts = {t.name: target.last_property(metric.snapshot_property(t)) for t in metric.inputs}
    return {name: int(text) if text else None for name, text in texts.items()}


def _news(
    context: JobContext, metric: Metric, sources: Mapping[str, LakeTable], covered: Snapshots
) -> _News | None:
    """Return what the inputs have gained since ``covered``; None when such a snapshot is gone."""
    gained = [_gained(context, sources[table.name], covered[table.name]) for table in metric.inputs]
    known = [news for news in gained if news is not None]
    if len(known) < len(gained):
        return None
    beside = frozenset(day for news in known[1:] for day in news.days)
    return _News(known[0].days | beside | _following(context, beside), known[0].clocks)


def _following(context: JobContext, days: frozenset[date]) -> frozenset[date]:
    if not days:
        return days
    known = [session.session_date for session in context.calendar.sessions()]
    return frozenset(after for day, after in pairwise(known) if day in days)


def _gained(context: JobContext, source: LakeTable, covered: int | None) -> _News | None:
    if covered is None or not source.contains(covered):
        return None
    head = source.head()
    if head == covered:
        return _News(frozenset(), {})
    reader = context.spark.read.option("start-snapshot-id", covered)
    added = reader.option("end-snapshot-id", head).table(source.identifier)
    newest = F.max(F.unix_micros("fetched_at")).alias("us")
    rows = added.groupBy("source", "session_date").agg(newest).collect()
    moments = [{row["source"]: clocks.moment(row["us"])} for row in rows]
    days = frozenset(row["session_date"] for row in rows)
    return _News(days, reduce(clocks.merge, moments, {}))


def _now(
    context: JobContext, metric: Metric, head: int | None, seen: Clocks | None, news: _News | None
) -> Clocks | None:
    """Return the replay clocks of the source at ``head``; None where rows are not made final."""
    if metric.end is None:
        return None
    if news is None or seen is None:
        return clocks.read(_at(context, metric.source, head))
    return clocks.merge(seen, news.clocks)


def _scope(
    context: JobContext,
    metric: Metric,
    seen: Clocks | None,
    news: _News | None,
    now: Clocks | None,
) -> Column:
    if news is None or _predates_clocks(metric, seen):
        return F.lit(True)
    touched = in_sessions(news.days)
    since = clocks.open_since(seen or {}, now or {}, context.lateness, context.calendar.zone)
    return touched if since is None else touched | (F.col("session_date") >= since)


def _predates_clocks(metric: Metric, seen: Clocks | None) -> bool:
    """Say whether the target's rows are from before a row could be final."""
    return metric.end is not None and seen is None


def _properties(metric: Metric, covered: Snapshots, seen: Clocks | None) -> dict[str, str]:
    found = {
        metric.snapshot_property(table): str(covered[table.name])
        for table in metric.inputs
        if covered[table.name] is not None
    }
    return found | ({} if seen is None else {CLOCKS: clocks.encode(seen)})


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


def _at(context: JobContext, table: Table, snapshot: int | None) -> DataFrame:
    rows = context.spark.read.option("versionAsOf", snapshot).table(table.identifier)
    # A snapshot has the columns of its time.
    missing = {name: kind for name, kind in table.columns.items() if name not in rows.columns}
    return rows.withColumns({name: F.lit(None).cast(kind) for name, kind in missing.items()})


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
