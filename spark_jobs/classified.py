"""A commit's rows with where each belongs, and what is counted of them.

Rows are decoded once and kept, without their raw lines: of the few that are refused, key, headers
and line are looked up in bronze again when they are written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any, Final

import numpy as np
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs import tables
from spark_jobs.bronze import BronzeObject
from spark_jobs.context import JobContext
from spark_jobs.model import Model
from spark_jobs.positions import Chain
from spark_jobs.schemas import REJECTS, Table
from spark_jobs.targets import Target
from spark_jobs.transforms import conform, dedupe, parse
from spark_jobs.transforms.objects import NO_OFFSETS, Evidence, Offsets, offsets
from spark_jobs.transforms.sessions import in_sessions

REASONS: Final = (
    *("invalid_json", "not_an_object", "contract", "unknown_schema", "wrong_topic"),
    *("no_session", "number_range", "duplicate", "conflict"),
)
_EVIDENCE: Final = ("key", "headers", "raw")


@dataclass(frozen=True)
class Classified:
    """The rows of some bronze objects; ``destination`` names each one's table.

    Nearly all are ``plain``: events whose event_id is new and alone. ``odd`` are all others.
    """

    context: JobContext
    objects: list[BronzeObject]
    served: list[Target]
    plain: DataFrame
    odd: DataFrame

    def counts(self) -> list[Row]:
        """Count per object: lines, offsets, rows by table (beyond its position) and by reason."""
        destination = F.col(dedupe.DESTINATION)
        per_table = [
            F.count_if((destination == target.spec.name) & target.beyond()).alias(target.spec.name)
            for target in self.served
        ]
        refused = (destination == REJECTS.name) & self.served[-1].beyond()
        per_reason = [
            F.count_if(refused & (F.col("reason") == reason)).alias(f"reason_{reason}")
            for reason in REASONS
        ]
        again = F.col(dedupe.IN_TABLE) & _any_new(self.served)
        return (
            self.plain.unionByName(self.odd)
            .groupBy("topic", "generation", "partition", "object_start")
            .agg(
                F.count("*").alias("lines"),
                F.count_if("is_repeated").alias("repeated"),
                F.min("offset").alias("first"),
                F.max("offset").alias("last"),
                F.count_if(again).alias("appended_before"),
                *per_table,
                *per_reason,
            )
            .collect()
        )

    def of(self, target: Target) -> DataFrame:
        """Return what is to be appended to a table."""
        chosen = (F.col(dedupe.DESTINATION) == target.spec.name) & target.beyond()
        if target.spec == REJECTS:
            rows = self._with_evidence(self.odd.where(chosen))
        else:
            rows = self.plain.unionByName(self.odd).where(chosen)
        return rows.withColumn("compacted_at", F.lit(self.context.clock.now()))

    def _with_evidence(self, refused: DataFrame) -> DataFrame:
        wanted = _wanted(refused)
        if not wanted:
            return refused
        chosen = [item for item in self.objects if _holds_one(item, wanted)]
        source = parse.objects(self.context.spark, _uris(self.context, chosen))
        found = parse.evidence(source, Evidence(wanted))
        joined = refused.join(
            found.withColumnsRenamed({name: f"found_{name}" for name in _EVIDENCE}),
            list(dedupe.IDENTITY),
            "left",
        )
        shown = {name: F.coalesce(name, f"found_{name}") for name in _EVIDENCE}
        # A record that was sent again needs no copy of itself.
        shown["raw"] = F.when(F.col("reason") != "duplicate", shown["raw"])
        return joined.withColumns(shown)


@contextmanager
def classified(
    context: JobContext, served: list[Target], objects: list[BronzeObject]
) -> Iterator[Classified]:
    """Decode objects and decide where each row belongs; what is kept for that goes at the end."""
    model = context.model.of_topics({item.chain.topic for item in objects})
    with _kept() as kept:
        conformed = _conformed(context, objects, model).cache()
        kept.append(conformed)
        known = _known(context, served, conformed)
        hashes = dedupe.doubtful_hashes(
            conformed, [dedupe.known_hashes(spec, rows) for spec, rows in known]
        ).cache()
        kept.append(hashes)
        doubtful = hashes if hashes.count() else None
        others = dedupe.odd(conformed, doubtful).cache()
        kept.append(others)
        odd = dedupe.settled(dedupe.refused(others))
        if doubtful is not None:
            events = [dedupe.known_events(spec, rows, doubtful, model) for spec, rows in known]
            verdicts = dedupe.classify(dedupe.events(others), events, model).cache()
            kept.append(verdicts)
            odd = odd.unionByName(verdicts)
        plain = dedupe.settled(dedupe.plain(conformed, doubtful))
        yield Classified(context, objects, served, plain, odd)


@contextmanager
def _kept() -> Iterator[list[DataFrame]]:
    kept: list[DataFrame] = []
    try:
        yield kept
    finally:
        for rows in reversed(kept):
            rows.unpersist()


def _conformed(context: JobContext, objects: list[BronzeObject], kept: Model) -> DataFrame:
    uris = _uris(context, [item for item in objects if item.count])
    empty = context.spark.createDataFrame([], "path string, content binary")
    source = parse.objects(context.spark, uris) if uris else empty
    parsed = parse.parse(source, context.model, kept)
    return conform.conform(parsed, context.sessions(), str(context.calendar.zone))


def _uris(context: JobContext, objects: list[BronzeObject]) -> list[str]:
    return [context.bronze.uri(item.key) for item in objects]


def _known(
    context: JobContext, served: list[Target], conformed: DataFrame
) -> list[tuple[Table, DataFrame]]:
    """Return the event tables' rows in the sessions that the batch touches."""
    events = [target for target in served if target.spec != REJECTS]
    full = [target for target in events if target.table.total_records()]
    touched = _touched(conformed) if full else {}
    return [
        (t.spec, tables.at(context.spark, t.spec, t.base).where(in_sessions(touched[t.spec.name])))
        for t in full
        if t.spec.name in touched
    ]


def _touched(conformed: DataFrame) -> dict[str, list[date]]:
    events = dedupe.events(conformed)
    rows = events.groupBy("kind").agg(F.collect_set("session_date").alias("days")).collect()
    return {row["kind"]: sorted(row["days"]) for row in rows}


def _any_new(served: list[Target]) -> Column:
    """Say whether a row lies beyond the position of the event table that it goes to."""
    destination = F.col(dedupe.DESTINATION)
    new = [(destination == t.spec.name) & t.beyond() for t in served if t.spec != REJECTS]
    return reduce(lambda left, right: left | right, new)


def _wanted(refused: DataFrame) -> dict[Chain, Offsets]:
    lacking = refused.where(F.col("raw").isNull()).select(*dedupe.IDENTITY)
    found: dict[Chain, Offsets] = {}
    frame = lacking.toPandas()
    for name, rows in frame.groupby(["topic", "generation", "partition"]):
        chain: Any = name
        found[Chain(*chain)] = offsets(rows["offset"])
    return found


def _holds_one(item: BronzeObject, wanted: dict[Chain, Offsets]) -> bool:
    mine = wanted.get(item.chain, NO_OFFSETS)
    first = np.searchsorted(mine, item.start)
    return bool(first < len(mine) and mine[first] < item.next)
