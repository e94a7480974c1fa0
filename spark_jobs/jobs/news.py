"""What a metric run has to compute: which sessions its inputs' news have touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce
from itertools import pairwise

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import clocks, tables
from spark_jobs.clocks import CLOCKS, Clocks
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs.metric import Metric
from spark_jobs.schemas import TRADES, Table
from spark_jobs.transforms.effective import rooted
from spark_jobs.transforms.roots import CORRECTED_WITHIN_DAYS, ROOT
from spark_jobs.transforms.sessions import EVERY, Sessions, in_sessions

Snapshots = dict[str, int | None]


@dataclass(frozen=True)
class News:
    """What the inputs have gained: the sessions of the rows, and the newest fetch per source."""

    days: frozenset[date]
    clocks: Clocks
    has_changes: bool = False
    """Whether corrections or cancellations are among the rows."""


@dataclass(frozen=True)
class Standing:
    """Where a metric stands.

    ``heads`` and ``covered`` are the snapshots of its inputs that there are, and that its rows were
    computed from; ``seen`` are the clocks of then, None where rows have none.
    """

    heads: Snapshots
    covered: Snapshots
    seen: Clocks | None

    def is_current(self, metric: Metric) -> bool:
        """Return whether there is nothing to do."""
        return self.heads == self.covered and not self.predates_clocks(metric)

    def predates_clocks(self, metric: Metric) -> bool:
        """Return whether the rows are from before a row could be final."""
        return metric.end is not None and self.seen is None


def standing(metric: Metric, sources: Mapping[str, LakeTable], target: LakeTable) -> Standing:
    """Read where a metric stands from the properties of its commits."""
    texts = {t.name: target.last_property(metric.snapshot_property(t)) for t in metric.inputs}
    return Standing(
        heads={name: source.head() for name, source in sources.items()},
        covered={name: int(text) if text else None for name, text in texts.items()},
        seen=clocks.decode(target.last_property(CLOCKS)),
    )


def properties(metric: Metric, covered: Snapshots, seen: Clocks | None) -> dict[str, str]:
    """Return the properties of a commit that covers these snapshots."""
    found = {
        metric.snapshot_property(table): str(covered[table.name])
        for table in metric.inputs
        if covered[table.name] is not None
    }
    return found | ({} if seen is None else {CLOCKS: clocks.encode(seen)})


def gained(
    context: JobContext, metric: Metric, sources: Mapping[str, LakeTable], state: Standing
) -> News | None:
    """Return the inputs' news since what is covered; None when such a snapshot is gone."""
    found = [_gained(context, t, sources[t.name], state.covered[t.name]) for t in metric.inputs]
    known = [news for news in found if news is not None]
    if len(known) < len(found):
        return None
    beside = frozenset(day for news in known[1:] for day in news.days)
    days = known[0].days | beside | _following(context, beside)
    if known[0].has_changes:
        trades = at(context, metric.source, state.heads[metric.source.name])
        days |= _corrected(trades, known[0].days)
    return News(days, known[0].clocks)


def now(context: JobContext, metric: Metric, state: Standing, news: News | None) -> Clocks | None:
    """Return the replay clocks of the source as it is; None where rows are not made final."""
    if metric.end is None:
        return None
    if news is None or state.seen is None:
        return clocks.read(at(context, metric.source, state.heads[metric.source.name]))
    return clocks.merge(state.seen, news.clocks)


def touched(
    context: JobContext, metric: Metric, state: Standing, news: News | None, at_now: Clocks | None
) -> Sessions:
    """Return the sessions with news, and those whose rows may have become final."""
    if news is None or state.predates_clocks(metric):
        return EVERY
    zone = context.calendar.zone
    since = clocks.open_since(state.seen or {}, at_now or {}, context.lateness, zone)
    return Sessions(news.days, () if since is None else ((since, None),))


def events(context: JobContext, metric: Metric, state: Standing, wanted: Sessions) -> DataFrame:
    """Return the source's rows of these sessions, and later changes of them."""
    rows = at(context, metric.source, state.heads[metric.source.name])
    if not metric.is_of_trades:
        return rows.where(wanted.filter())
    later = wanted.until(CORRECTED_WITHIN_DAYS).filter()
    return rows.where(wanted.filter() | ((F.col("action") != "new") & later))


def at(context: JobContext, table: Table, snapshot: int | None) -> DataFrame:
    """Return a table as of a snapshot, with NULL in columns that it did not have then."""
    return tables.at(context.spark, table, snapshot)


def _gained(
    context: JobContext, table: Table, source: LakeTable, covered: int | None
) -> News | None:
    if covered is None or not source.contains(covered):
        return None
    head = source.head()
    if head == covered:
        return News(frozenset(), {})
    reader = context.spark.read.option("start-snapshot-id", covered)
    added = reader.option("end-snapshot-id", head).table(source.identifier)
    newest = F.max(clocks.shown()).alias("us")
    changes = F.count_if(F.col("action") != "new") if table is TRADES else F.lit(0)
    groups = added.groupBy("source", "session_date")
    rows = groups.agg(newest, changes.alias("changes")).collect()
    moments = [{row["source"]: clocks.moment(row["us"])} for row in rows]
    days = frozenset(row["session_date"] for row in rows)
    has_changes = any(row["changes"] for row in rows)
    return News(days, reduce(clocks.merge, moments, {}), has_changes)


def _following(context: JobContext, days: frozenset[date]) -> frozenset[date]:
    if not days:
        return days
    known = [session.session_date for session in context.calendar.sessions()]
    return frozenset(after for day, after in pairwise(known) if day in days)


def _corrected(trades: DataFrame, days: frozenset[date]) -> frozenset[date]:
    """Return the earlier sessions whose trades are changed by records of ``days``."""
    mine = trades.where(in_sessions(days))
    meant = rooted(mine).select(ROOT).distinct()
    there = _named(mine, meant).select(F.col("event_id").alias(ROOT))
    missing = meant.join(F.broadcast(there), ROOT, "left_anti")
    # Hardly ever: the sessions before are read only then.
    if missing.isEmpty():
        return frozenset()
    first = min(days) - timedelta(days=CORRECTED_WITHIN_DAYS)
    before = trades.where(Sessions(ranges=((first, max(days)),)).filter())
    chained = rooted(before).select(F.col("event_id").alias("change"), F.col(ROOT).alias("end"))
    ends = missing.join(chained, F.col(ROOT) == F.col("change"), "left").select(
        F.coalesce("end", ROOT).alias(ROOT)
    )
    rows = _named(before, ends).select("session_date").distinct().collect()
    return frozenset(row["session_date"] for row in rows)


def _named(trades: DataFrame, names: DataFrame) -> DataFrame:
    """Return the trades whose event_id is one of the roots in ``names``."""
    new = trades.where(F.col("action") == "new")
    return new.join(F.broadcast(names), F.col("event_id") == F.col(ROOT), "left_semi")
