"""A commit's lines with where each belongs.

Objects are decoded once, to pages, which are kept. The few lines that are no events, and the events
whose event_id may be there already, are looked up in bronze again and looked at one by one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import LakeError
from spark_jobs import tables, tally
from spark_jobs.bronze import BronzeObject
from spark_jobs.context import JobContext
from spark_jobs.model import Model
from spark_jobs.schemas import REJECTS
from spark_jobs.tally import Count, Tally
from spark_jobs.targets import Target
from spark_jobs.transforms import conform, dedupe, parse
from spark_jobs.transforms.objects import Numbers, Place, Wanted
from spark_jobs.transforms.pages import Calendar, Hits, Merger, Pager
from spark_jobs.transforms.sessions import in_sessions

REASONS: Final = (
    *("invalid_json", "not_an_object", "contract", "unknown_schema", "wrong_topic"),
    *("no_session", "number_range", "duplicate", "conflict"),
)


@dataclass(frozen=True)
class Classified:
    """The lines of some bronze objects.

    ``pages`` hold all events, ``odd`` the lines that were looked at alone, with their verdicts;
    ``facts`` are ``tally.FACTS`` of the latter.
    """

    context: JobContext
    objects: list[BronzeObject]
    served: list[Target]
    pages: DataFrame
    odd: DataFrame | None
    told: Tally
    facts: pd.DataFrame

    def counts(self) -> list[Count]:
        """Count per object: lines, offsets, rows by table (beyond its position) and by reason."""
        return tally.counts(self.told, self.facts)

    def of(self, target: Target) -> DataFrame:
        """Return what is to be appended to a table."""
        now = F.lit(self.context.clock.now())
        return self._rows(target).withColumn("compacted_at", now)

    def _rows(self, target: Target) -> DataFrame:
        if target.spec != REJECTS:
            merger = Merger(target.spec, tally.dropped(self.facts))
            tasks = self.context.spark.sparkContext.defaultParallelism
            return parse.merged(self.pages, merger, tasks)
        assert self.odd is not None  # noqa: S101 - rejects were counted among them
        return self.odd.where((F.col(dedupe.DESTINATION) == REJECTS.name) & target.beyond())


@contextmanager
def classified(
    context: JobContext, served: list[Target], objects: list[BronzeObject]
) -> Iterator[Classified]:
    """Decode objects and decide where each line belongs; what is kept for that goes at the end.

    Raises:
        LakeError: a line is another one when it is read again.
    """
    model = context.model.of_topics({item.chain.topic for item in objects})
    with _kept() as kept:
        pages = _keep(kept, _pages(context, served, objects, model))
        told = Tally.of(pages)
        known = _known(context, served, told)
        hits = {name: _hits(rows, told.hashes()) for name, rows in known.items()}
        doubtful = told.doubtful(np.concatenate([np.empty(0, np.int64), *hits.values()]))
        found = {name: rows for name, rows in known.items() if len(hits[name])}
        wanted = tally.both(told.refused(), doubtful)
        odd = None
        if wanted:
            rows = _keep(kept, _rows(context, objects, model, wanted))
            odd = _keep(kept, _judged(rows, found, model) if doubtful else _refused(rows))
        facts = _facts(odd, served)
        _require(facts, doubtful)
        yield Classified(context, objects, served, pages, odd, told, facts)


@contextmanager
def _kept() -> Iterator[list[DataFrame]]:
    kept: list[DataFrame] = []
    try:
        yield kept
    finally:
        for rows in reversed(kept):
            rows.unpersist()


def _keep(kept: list[DataFrame], rows: DataFrame) -> DataFrame:
    kept.append(rows.cache())
    return rows


def _pages(
    context: JobContext, served: list[Target], objects: list[BronzeObject], model: Model
) -> DataFrame:
    dates = [session.session_date for session in context.calendar.sessions()]
    covered = {target.spec.name: dict(target.covered) for target in served}
    pager = Pager(context.model, model, Calendar.of(dates, context.calendar.zone), covered)
    chosen = [item for item in objects if item.count]
    return parse.pages(parse.objects(context.spark, _uris(context, chosen)), pager)


def _rows(
    context: JobContext, objects: list[BronzeObject], model: Model, wanted: Wanted
) -> DataFrame:
    chosen = [item for item in objects if Place(item.chain, item.start) in wanted]
    source = parse.objects(context.spark, _uris(context, chosen))
    parsed = parse.parse(source, context.model, model, wanted)
    return conform.conform(parsed, context.sessions(), str(context.calendar.zone))


def _uris(context: JobContext, objects: list[BronzeObject]) -> list[str]:
    return [context.bronze.uri(item.key) for item in objects]


def _known(context: JobContext, served: list[Target], told: Tally) -> dict[str, DataFrame]:
    """Return the event tables' rows in the sessions that the batch touches."""
    touched = told.touched()
    return {
        t.spec.name: tables.at(context.spark, t.spec, t.base).where(
            in_sessions(touched[t.spec.name])
        )
        for t in served
        if t.spec.name in touched and t.table.total_records()
    }


def _hits(known: DataFrame, hashes: Numbers) -> Numbers:
    found = parse.hits(known, Hits(hashes)).toArrow().column("hash")
    return np.unique(found.to_numpy())


def _refused(rows: DataFrame) -> DataFrame:
    return dedupe.settled(dedupe.refused(rows)).withColumn("was_event", F.lit(False))


def _judged(rows: DataFrame, known: dict[str, DataFrame], model: Model) -> DataFrame:
    events = dedupe.events(rows)
    hashes = dedupe.hashes(events)
    named = {table.name: table for table in model.events}
    compared = [
        dedupe.known_events(named[name], some, hashes, model) for name, some in known.items()
    ]
    verdicts = dedupe.classify(events, compared, model).withColumns(
        {
            "was_event": F.lit(True),
            # A record that was sent again needs no copy of itself.
            "raw": F.when(F.col("reason").eqNullSafe("duplicate"), None).otherwise(F.col("raw")),
        }
    )
    return _refused(rows).unionByName(verdicts)


def _facts(odd: DataFrame | None, served: list[Target]) -> pd.DataFrame:
    if odd is None:
        return tally.no_facts()
    told = odd.withColumns(
        {
            "is_fresh": _is_beyond("kind", served),
            "is_beyond": _is_beyond(dedupe.DESTINATION, served),
        }
    )
    # An offset may have more digits than a float.
    return told.select(*tally.FACTS).toArrow().to_pandas(integer_object_nulls=True)


def _is_beyond(column: str, served: list[Target]) -> Column:
    """Say whether a row lies beyond the position of the table that a column names."""
    beyond = [(F.col(column) == target.spec.name) & target.beyond() for target in served]
    return F.coalesce(reduce(lambda left, right: left | right, beyond), F.lit(False))


def _require(facts: pd.DataFrame, doubtful: Wanted) -> None:
    """Every doubtful event has its verdict: one that has none would be appended unseen."""
    expected, found = sum(map(len, doubtful.values())), int(facts["was_event"].sum())
    if found != expected:
        raise LakeError(f"expected {expected} events to be compared, found {found}")
