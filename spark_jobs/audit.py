"""What compaction compares before main moves: bronze with what was read, that with the branch."""

from collections import Counter
from collections.abc import Iterator
from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import LakeError
from spark_jobs import commit
from spark_jobs.bronze import BronzeObject
from spark_jobs.positions import Chain
from spark_jobs.schemas import REJECTS
from spark_jobs.tally import Count

_CHAIN: Final = {"topic": "string", "generation": "string", "partition": "int"}


def check_read(objects: list[BronzeObject], counts: list[Count]) -> None:
    """Compare what was read, counted per object, with what the objects' metadata says.

    Raises:
        LakeError: a line is missing, doubled or outside its object's interval.
    """
    found = {(_chain(row), row["object_start"]): row for row in counts}
    listed = {(item.chain, item.start): item for item in objects}
    if stray := found.keys() - listed.keys():
        raise LakeError(f"read lines of objects that were not listed: {sorted(stray)[:5]}")
    for place, item in listed.items():
        _check_object(item, found.get(place))


def _check_object(item: BronzeObject, row: Count | None) -> None:
    lines = row["lines"] if row else 0
    if lines != item.count:
        raise LakeError(f"{item.key}: its metadata counts {item.count} records, read {lines}")
    if row is None or row["first"] is None:
        return
    if row["appended_before"]:
        raise LakeError(
            f"{item.key}: {row['appended_before']} records beyond the table's position "
            "are in the table already: its positions went back"
        )
    if row["repeated"]:
        raise LakeError(f"{item.key}: an offset occurs twice")
    if row["first"] < item.start or row["last"] >= item.next:
        span = f"offsets {row['first']} to {row['last']}"
        raise LakeError(f"{item.key}: {span} leave its interval [{item.start}, {item.next})")


def check_branches(spark: SparkSession, staged: list[commit.Staged], counts: list[Count]) -> None:
    """Read the branches back: the rows per chain that were counted, and each event once.

    Raises:
        LakeError: they differ.
    """
    expected = _expected(staged, counts)
    if {item.spec.name for item in staged if item.rows} != {key[0] for key in expected}:
        raise LakeError(f"rows on the branches of {staged}, expected {expected}")
    parts = [part for item in staged if item.rows for part in _branch(spark, item)]
    rows = reduce(DataFrame.unionByName, parts).collect() if parts else []
    found = {(row["table"], _chain(row)): row["rows"] for row in rows if not row["is_doubled"]}
    if found != expected:
        raise LakeError(f"the branches hold {found}, expected {expected}")
    if doubled := {row["table"] for row in rows if row["is_doubled"]}:
        _require_unique(spark, [item for item in staged if item.spec.name in doubled])


def _expected(staged: list[commit.Staged], counts: list[Count]) -> Counter[tuple[str, Chain]]:
    expected: Counter[tuple[str, Chain]] = Counter()
    for item in staged:
        for row in counts:
            if row[item.spec.name]:
                expected[item.spec.name, _chain(row)] += row[item.spec.name]
    return expected


def _branch(spark: SparkSession, item: commit.Staged) -> Iterator[DataFrame]:
    """Count a branch's rows per chain, and look for an identity that it has twice, by its hash."""
    rows = commit.written(spark, item)
    table = F.lit(item.spec.name).alias("table")
    counted = rows.groupBy(*_CHAIN).agg(F.count("*").alias("rows"))
    yield counted.select(table, *_CHAIN, "rows", F.lit(False).alias("is_doubled"))
    hashed = rows.where(_has_identity(item)).groupBy(F.xxhash64(*_identity(item)).alias("hash"))
    doubled = hashed.count().where("count > 1").limit(1)
    nowhere = [F.lit(None).cast(kind).alias(name) for name, kind in _CHAIN.items()]
    count = F.col("count").alias("rows")
    yield doubled.select(table, *nowhere, count, F.lit(True).alias("is_doubled"))


def _require_unique(spark: SparkSession, staged: list[commit.Staged]) -> None:
    for item in staged:
        rows = commit.written(spark, item).where(_has_identity(item))
        example = rows.groupBy(*_identity(item)).count().where("count > 1").first()
        # Two identities may have one hash.
        if example is not None:
            raise LakeError(f"{item.spec.identifier}: doubled on its branch: {example.asDict()}")


def _identity(item: commit.Staged) -> tuple[str, ...]:
    return (*_CHAIN, "offset") if item.spec == REJECTS else ("event_id",)


def _has_identity(item: commit.Staged) -> Column:
    """Leave out lines without offset: they are no bronze lines, and nothing tells them apart."""
    return F.col(_identity(item)[-1]).isNotNull()


def _chain(row: Row | Count) -> Chain:
    return Chain(*(row[name] for name in _CHAIN))
