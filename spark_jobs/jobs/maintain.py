"""Keep the lake small and quick: few sorted files, no snapshot or file that nobody needs.

Nobody else is disturbed. Compaction's positions, what metrics have covered and what warehouses
have loaded stay reachable; what a reader or a running job may still hold stays on the store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from ingestion.errors import CommitConflictError, LakeError, SettingsError
from spark_jobs import history, tables
from spark_jobs.context import JobContext
from spark_jobs.schemas import SOURCE_SNAPSHOT, TABLES, Table
from spark_jobs.upkeep import Files, UpkeepTable
from spark_jobs.upkeep_report import Summary, TableUpkeep

# Longer than any job or scan takes that has begun before.
LEAST_AGE: Final = timedelta(hours=1)
# Iceberg's own least: files of a commit under way are referred to by nothing yet.
LEAST_GRACE: Final = timedelta(hours=24)
_ATTEMPTS: Final = 5

_log = structlog.get_logger(component="maintain")

Pins = Mapping[str, Mapping[str, int]]


def duration(text: str) -> timedelta:
    """Read a time as people write it: 7d, 12h, 30m, 20s.

    Raises:
        ValueError: it is none.
    """
    units = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise ValueError(f"expected a time like 7d, 12h, 30m or 20s, found {text!r}")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


@dataclass(frozen=True)
class Options:
    """What may go, and whether it goes.

    ``forget`` names consumers that will not load again; ``tables`` is all of them where empty.
    """

    apply: bool = False
    older_than: timedelta = timedelta(days=7)
    orphan_grace: timedelta = timedelta(days=3)
    force: bool = False
    forget: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what could take files from under a running job.

        Raises:
            SettingsError: a time is too short, and not forced; or a table is none of ours.
        """
        if unknown := set(self.tables) - {_name(table) for table in TABLES}:
            raise SettingsError(f"--table: expected a table of the lake, found {sorted(unknown)}")
        for name, value, least in (
            ("--older-than", self.older_than, LEAST_AGE),
            ("--orphan-grace", self.orphan_grace, LEAST_GRACE),
        ):
            if value < least and not self.force:
                raise SettingsError(f"{name}: expected at least {least}, found {value} (--force?)")


def run(context: JobContext, options: Options, pins: Pins) -> Summary:
    """Tag what must stay, rewrite small files, expire snapshots, remove orphans, table by table.

    ``pins`` is how far each warehouse has come, by consumer and table.

    Raises:
        SettingsError: a time is too short.
        LakeError: a rewrite changed the number of rows.
        CommitConflictError: other jobs were in the way too often.
    """
    options.check()
    began = context.clock.monotonic()
    summary = Summary(options.apply)
    present = [table for table in TABLES if tables.exists(context.spark, table)]
    opened = {_name(table): UpkeepTable(context.spark, table.identifier) for table in present}
    pins = {consumer: one for consumer, one in pins.items() if consumer not in options.forget}
    # Before anything else: a metric that moves on meanwhile only needs less.
    covered = _covered(opened.values())
    for name, table in opened.items():
        if not options.tables or name in options.tables:
            mine = {consumer: one[name] for consumer, one in pins.items() if name in one}
            summary.tables[name] = _table(context, options, table, mine, covered)
    summary.seconds = context.clock.monotonic() - began
    return summary


def _covered(opened: Iterable[UpkeepTable]) -> set[int]:
    """Return the snapshots, of whichever table, that metrics go on from."""
    return {
        int(snapshot.summary[name])
        for table in opened
        for name, snapshot in history.newest_with_properties(table.history()).items()
        # Of a metric with several inputs the other properties are called after these.
        if name.startswith(SOURCE_SNAPSHOT)
    }


def _name(table: Table) -> str:
    return f"{table.namespace}.{table.name}"


def _table(
    context: JobContext,
    options: Options,
    table: UpkeepTable,
    pins: Mapping[str, int],
    covered: set[int],
) -> TableUpkeep:
    done = TableUpkeep(table.state(), table.stored())
    _tag(context, options, table, pins, done)
    _rewrite(options, table, done)
    _expire(context, options, table, covered | set(pins.values()), done)
    _remove_orphans(context, options, table, done)
    if options.apply:
        done.after, done.stored_after = table.state(), table.stored()
    return done


def _tag(
    context: JobContext,
    options: Options,
    table: UpkeepTable,
    pins: Mapping[str, int],
    done: TableUpkeep,
) -> None:
    """Tag what must outlive an expiry by anybody; drop the branches of runs that died."""
    for _ in range(_ATTEMPTS):
        found = table.history()
        done.tags = history.wanted_tags(found, pins)
        forgotten = {history.consumers_tag(name) for name in options.forget} & found.refs.keys()
        done.dropped = sorted({*history.dead_branches(found, _now_ms(context)), *forgotten})
        if not options.apply or not (done.tags or done.dropped):
            return
        try:
            return table.set_refs(done.tags, done.dropped)
        except CommitConflictError as error:
            _log.info("lost_the_race", table=table.identifier, detail=str(error))
    raise CommitConflictError(f"{table.identifier}: others kept committing, its tags are not set")


def _rewrite(options: Options, table: UpkeepTable, done: TableUpkeep) -> None:
    done.rewritten = table.to_rewrite()
    if options.apply and done.rewritten.files:
        rewritten = table.rewrite()
        if rewritten.records_before != rewritten.records_after:
            raise LakeError(
                f"{table.identifier}: rewrote {rewritten.records_before} rows into "
                f"{rewritten.records_after}"
            )
        done.rewritten, done.rewritten_to = rewritten.old, rewritten.new
    done.are_manifests_rewritten = table.are_manifests_worth_it(table.state().manifests)
    if options.apply and done.are_manifests_rewritten:
        table.rewrite_manifests()


def _expire(
    context: JobContext,
    options: Options,
    table: UpkeepTable,
    needed: set[int],
    done: TableUpkeep,
) -> None:
    # What tags and properties protect is read anew: the tags above are in it.
    found = table.history()
    age_ms = _ms(options.older_than)
    expiring = history.expirable(found, needed, _now_ms(context), age_ms)
    done.expired_snapshots = len(expiring)
    if not expiring:
        return
    if options.apply:
        names = table.expire(expiring)
        done.expired = table.sizes(names)
        table.delete(names)
    else:
        files = history.freed(found, expiring, table.replaced())
        done.expired = Files(len(files), sum(file.bytes for file in files))


def _remove_orphans(
    context: JobContext, options: Options, table: UpkeepTable, done: TableUpkeep
) -> None:
    names = table.orphans(_now_ms(context) - _ms(options.orphan_grace))
    done.orphans = table.sizes(names)
    if options.apply and names:
        table.delete(names)


def _now_ms(context: JobContext) -> int:
    return int(context.clock.now().timestamp() * 1000)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
