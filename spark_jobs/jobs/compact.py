"""Bronze to typed, deduplicated events and rejects: every record once, none lost."""

import uuid
from functools import partial
from itertools import accumulate
from typing import Final

import structlog

from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.errors import CommitConflictError
from spark_jobs import audit, bronze, commit, tables, targets
from spark_jobs.bronze import BronzeObject
from spark_jobs.classified import REASONS, Classified, classified
from spark_jobs.context import JobContext
from spark_jobs.report import JobSummary
from spark_jobs.schemas import POSITIONS, REJECTS
from spark_jobs.tally import Count
from spark_jobs.targets import Target

TOPICS: Final = (BATCH, REALTIME)
# Bounds the memory of one commit: of each record the driver has 16 bytes, Spark keeps a hundred,
# and the rows of one partition are in one worker twice.
MAX_RECORDS: Final = 1_000_000
_ATTEMPTS: Final = 20

_log = structlog.get_logger(component="compact")


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
    tables.ensure(context.spark, context.model.compacted)
    position = partial(targets.start, _targets(context))
    objects = bronze.beyond(context.bronze, TOPICS, position)
    while left := _one_commit(context, summary, objects):
        seconds = round(context.clock.monotonic() - began, 1)
        _log.info("progress", read=summary.read, left=left, seconds=seconds)
    summary.seconds = context.clock.monotonic() - began
    if summary.conflicts:
        _log.warning("event_id_conflicts", records=summary.conflicts, table=REJECTS.identifier)
    return summary


def _targets(context: JobContext) -> list[Target]:
    return targets.read(context.spark, context.model)


def _one_commit(context: JobContext, summary: JobSummary, listed: list[BronzeObject]) -> int:
    """Cover up to MAX_RECORDS records; return how many are left."""
    for _ in range(_ATTEMPTS):
        all_targets = _targets(context)
        position = partial(targets.start, all_targets)
        objects = bronze.left(listed, position)
        if not objects:
            return 0
        chosen = _first_records(objects)
        topics = {item.chain.topic for item in chosen}
        served = [target for target in all_targets if topics & set(target.spec.topics)]
        try:
            with classified(context, served, chosen) as rows:
                _cover(rows, summary)
        except CommitConflictError as error:
            _log.info("lost_the_race", detail=str(error))
            summary.retries += 1
        else:
            return sum(item.count for item in objects) - sum(item.count for item in chosen)
    raise CommitConflictError(f"gave up after {_ATTEMPTS} attempts: other runs keep committing")


def _first_records(objects: list[BronzeObject]) -> list[BronzeObject]:
    totals = accumulate(item.count for item in objects)
    return [
        item
        for item, total in zip(objects, totals, strict=True)
        if total - item.count == 0 or total <= MAX_RECORDS
    ]


def _cover(rows: Classified, summary: JobSummary) -> None:
    counts = rows.counts()
    audit.check_read(rows.objects, counts)
    _write(rows, counts, summary)
    summary.objects += len(rows.objects)
    summary.read += sum(row["lines"] for row in counts)
    for reason in REASONS:
        refused = sum(row[f"reason_{reason}"] for row in counts)
        if refused:
            summary.rejected[reason] += refused


def _write(rows: Classified, counts: list[Count], summary: JobSummary) -> None:
    """Stage every table's rows, audit all branches, then move each main."""
    branch = f"compact_{uuid.uuid4().hex}"
    with commit.branches() as staged:
        for target in rows.served:
            staged.append(_stage(rows, target, branch, counts))
        audit.check_branches(rows.context.spark, staged, counts)
        for item in staged:
            item.publish()
            # At once: where the next table's race is lost, this one's rows are there all the same.
            summary.add(item)


def _stage(rows: Classified, target: Target, branch: str, counts: list[Count]) -> commit.Staged:
    new = rows.of(target) if any(row[target.spec.name] for row in counts) else None
    properties = {POSITIONS: target.position_after(rows.objects)}
    laid_out = target.spec != REJECTS
    return commit.stage(
        *(target.spec, target.table, target.base, branch, new, properties), laid_out=laid_out
    )
