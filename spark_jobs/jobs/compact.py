"""Bronze to typed, deduplicated events and rejects: every record once, none lost."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial, reduce
from itertools import accumulate
from typing import Final

import structlog
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.errors import CommitConflictError, LakeError
from spark_jobs import audit, bronze, commit, positions, tables
from spark_jobs.bronze import BronzeObject
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.positions import Chain
from spark_jobs.report import JobSummary
from spark_jobs.schemas import COMPACTED, EVENTS, POSITIONS, REJECTS, Table
from spark_jobs.transforms import conform, dedupe, parse
from spark_jobs.transforms.sessions import in_sessions

TOPICS: Final = (BATCH, REALTIME)
# Bounds the memory of one commit (a parsed trade takes about 1 kB with its raw line).
MAX_RECORDS: Final = 1_000_000
_ATTEMPTS: Final = 20
_REASONS: Final = (
    *("invalid_json", "not_an_object", "contract", "unknown_schema", "wrong_topic"),
    *("no_session", "number_range", "duplicate", "conflict"),
)

_log = structlog.get_logger(component="compact")


@dataclass(frozen=True)
class Target:
    """A table with the position from which this run serves it."""

    spec: Table
    table: LakeTable
    base: int
    covered: Mapping[Chain, int]


def run(context: JobContext) -> JobSummary:
    """Compact all that bronze holds now beyond the tables' positions.

    What is landed meanwhile is the next run's: where landing goes on all the time, a run that took
    it too would never end.

    Raises:
        LakeError: what was written is not what was read; main was left as it was.
        ChainError: bronze has a gap or an overlap.
        CommitConflictError: other runs were in the way too often.
    """
    summary = JobSummary("compact")
    began = context.clock.monotonic()
    tables.ensure(context.spark, COMPACTED)
    last = bronze.newest(context.bronze, TOPICS, partial(_start, _targets(context)))
    while _one_commit(context, summary, last):
        pass
    summary.seconds = context.clock.monotonic() - began
    if summary.conflicts:
        _log.warning("event_id_conflicts", records=summary.conflicts, table=REJECTS.identifier)
    return summary


def _one_commit(context: JobContext, summary: JobSummary, last: Mapping[Chain, str]) -> bool:
    """Cover up to MAX_RECORDS records; return whether there were any objects."""
    for _ in range(_ATTEMPTS):
        targets = _targets(context)
        objects = bronze.beyond(context.bronze, TOPICS, partial(_start, targets), last)
        chosen = _first_records(objects)
        if not chosen:
            return False
        try:
            _cover(context, targets, chosen, summary)
        except CommitConflictError as error:
            _log.info("lost_the_race", detail=str(error))
            summary.retries += 1
        else:
            return True
    raise CommitConflictError(f"gave up after {_ATTEMPTS} attempts: other runs keep committing")


def _targets(context: JobContext) -> list[Target]:
    return [_target(context, spec) for spec in COMPACTED]


def _target(context: JobContext, spec: Table) -> Target:
    table = LakeTable(context.spark, spec.identifier)
    base = table.head()
    if base is None:
        raise LakeError(f"{spec.identifier} has no snapshot")
    return Target(spec, table, base, positions.decode(table.last_property(POSITIONS)))


def _start(targets: list[Target], chain: Chain) -> int:
    return positions.lowest(
        (target.covered for target in targets if chain.topic in target.spec.topics), chain
    )


def _first_records(objects: list[BronzeObject]) -> list[BronzeObject]:
    totals = accumulate(item.count for item in objects)
    return [
        item
        for item, total in zip(objects, totals, strict=True)
        if total - item.count == 0 or total <= MAX_RECORDS
    ]


def _cover(
    context: JobContext, targets: list[Target], objects: list[BronzeObject], summary: JobSummary
) -> None:
    topics = {item.chain.topic for item in objects}
    served = [target for target in targets if topics & set(target.spec.topics)]
    full = [target for target in served if target.spec in EVENTS and target.table.total_records()]
    conformed = _conformed(context, objects)
    if full:
        # Read twice: for the sessions it touches, and to be compared with what these hold.
        conformed.cache()
    classified = _classified(context, conformed, full).cache()
    try:
        counts = _counts(classified, served)
        conformed.unpersist()
        audit.check_read(objects, counts)
        _write(context, served, objects, classified, counts, summary)
        _add(summary, objects, counts)
    finally:
        conformed.unpersist()
        classified.unpersist()


def _conformed(context: JobContext, objects: list[BronzeObject]) -> DataFrame:
    uris = [context.bronze.uri(item.key) for item in objects if item.count]
    empty = context.spark.createDataFrame([], "line binary, file_path string")
    source = parse.lines(context.spark, uris) if uris else empty
    zone = str(context.calendar.zone)
    return conform.conform(parse.parse(source), context.sessions(), zone)


def _classified(context: JobContext, conformed: DataFrame, full: list[Target]) -> DataFrame:
    touched = _touched(conformed) if full else {}
    known = [
        dedupe.known_events(target.spec, _rows(context, target, touched[target.spec.name]))
        for target in full
        if target.spec.name in touched
    ]
    now = F.lit(context.clock.now())
    return dedupe.classify(conformed, known).withColumn("compacted_at", now)


def _touched(conformed: DataFrame) -> dict[str, list[date]]:
    events = conformed.where(F.col("reason").isNull())
    rows = events.groupBy("kind").agg(F.collect_set("session_date").alias("days")).collect()
    return {row["kind"]: sorted(row["days"]) for row in rows}


def _rows(context: JobContext, target: Target, days: list[date]) -> DataFrame:
    reader = context.spark.read.option("versionAsOf", target.base)
    return reader.table(target.spec.identifier).where(in_sessions(days))


def _counts(classified: DataFrame, served: list[Target]) -> list[Row]:
    """Count per chain: lines, offsets, and rows by table (beyond its position) and by reason."""
    destination = F.col(dedupe.DESTINATION)
    per_table = [
        F.count_if((destination == target.spec.name) & _beyond(target)).alias(target.spec.name)
        for target in served
    ]
    new_reject = (destination == REJECTS.name) & _beyond(served[-1])
    per_reason = [
        F.count_if(new_reject & (F.col("reason") == reason)).alias(f"reason_{reason}")
        for reason in _REASONS
    ]
    return (
        classified.groupBy("topic", "generation", "partition")
        .agg(
            F.count("*").alias("lines"),
            F.count("offset").alias("with_offset"),
            F.count_distinct("offset").alias("offsets"),
            F.min("offset").alias("first"),
            F.max("offset").alias("last"),
            F.count_if(F.col(dedupe.IN_TABLE) & _any_new(served)).alias("appended_before"),
            *per_table,
            *per_reason,
        )
        .collect()
    )


def _any_new(served: list[Target]) -> Column:
    """Say whether a row lies beyond the position of the event table that it goes to."""
    destination = F.col(dedupe.DESTINATION)
    new = [(destination == t.spec.name) & _beyond(t) for t in served if t.spec in EVENTS]
    return reduce(lambda left, right: left | right, new)


def _beyond(target: Target) -> Column:
    """Say whether a row lies beyond the table's position; a line without offset always does."""
    covered = [
        (F.col("topic") == chain.topic)
        & (F.col("generation") == chain.generation)
        & (F.col("partition") == chain.partition)
        & (F.col("offset") < offset)
        for chain, offset in target.covered.items()
    ]
    behind = F.lit(False)
    for condition in covered:
        behind = behind | condition
    return ~F.coalesce(behind, F.lit(False))


def _write(
    context: JobContext,
    served: list[Target],
    objects: list[BronzeObject],
    classified: DataFrame,
    counts: list[Row],
    summary: JobSummary,
) -> None:
    """Stage every table's rows, audit all branches, then move each main."""
    branch = f"compact_{uuid.uuid4().hex}"
    with commit.branches() as staged:
        for target in served:
            staged.append(_stage(target, branch, objects, classified, counts))
        audit.check_branches(context.spark, staged, counts)
        for item in staged:
            item.publish()
            # At once: where the next table's race is lost, this one's rows are there all the same.
            summary.commits += 1
            summary.files += item.files
            summary.written[item.spec.name] += item.rows


def _stage(
    target: Target,
    branch: str,
    objects: list[BronzeObject],
    classified: DataFrame,
    counts: list[Row],
) -> commit.Staged:
    if target.table.head() != target.base:
        raise CommitConflictError(f"{target.spec.identifier} moved after its positions were read")
    chosen = (F.col(dedupe.DESTINATION) == target.spec.name) & _beyond(target)
    rows = classified.where(chosen) if any(row[target.spec.name] for row in counts) else None
    properties = {POSITIONS: positions.encode(_ends(target, objects))}
    return commit.stage(target.spec, target.table, target.base, branch, rows, properties)


def _ends(target: Target, objects: list[BronzeObject]) -> dict[Chain, int]:
    ends = {item.chain: item.next for item in objects if item.chain.topic in target.spec.topics}
    return positions.merge(target.covered, ends)


def _add(summary: JobSummary, objects: list[BronzeObject], counts: list[Row]) -> None:
    summary.objects += len(objects)
    summary.read += sum(row["lines"] for row in counts)
    for reason in _REASONS:
        rows = sum(row[f"reason_{reason}"] for row in counts)
        if rows:
            summary.rejected[reason] += rows
