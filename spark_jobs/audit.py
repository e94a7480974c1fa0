"""What compaction compares before main moves: bronze with what was read, that with the branch."""

from functools import reduce

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import LakeError
from spark_jobs import commit
from spark_jobs.bronze import BronzeObject
from spark_jobs.positions import Chain
from spark_jobs.schemas import EVENTS

_CHAIN = ("topic", "generation", "partition")


def check_read(objects: list[BronzeObject], counts: list[Row]) -> None:
    """Compare what was read, counted per chain, with what the objects' metadata says.

    Raises:
        LakeError: a line is missing, doubled or outside its objects' intervals.
    """
    found = {Chain(*(row[name] for name in _CHAIN)): row for row in counts}
    by_chain: dict[Chain, list[BronzeObject]] = {}
    for item in objects:
        by_chain.setdefault(item.chain, []).append(item)
    if stray := found.keys() - by_chain.keys():
        raise LakeError(f"read lines of chains that were not listed: {sorted(stray)}")
    for chain, mine in by_chain.items():
        _check_chain(chain, mine, found.get(chain))


def _check_chain(chain: Chain, objects: list[BronzeObject], row: Row | None) -> None:
    expected, lines = sum(item.count for item in objects), row["lines"] if row else 0
    if lines != expected:
        raise LakeError(f"{chain}: bronze metadata counts {expected} records, read {lines}")
    if row is None or row["first"] is None:
        return
    if row["appended_before"]:
        raise LakeError(
            f"{chain}: {row['appended_before']} records beyond the table's position "
            "are in the table already: its positions went back"
        )
    if row["offsets"] != row["with_offset"]:
        raise LakeError(f"{chain}: an offset occurs twice in bronze")
    start, end = objects[0].start, objects[-1].next
    if row["first"] < start or row["last"] >= end:
        span = f"offsets {row['first']} to {row['last']}"
        raise LakeError(f"{chain}: {span} leave the objects' [{start}, {end})")


def check_branches(spark: SparkSession, staged: list[commit.Staged], counts: list[Row]) -> None:
    """Read the branches back: the rows per chain that were counted, each offset and event once.

    Raises:
        LakeError: they differ.
    """
    expected = {
        (item.spec.name, *(row[name] for name in _CHAIN)): row[item.spec.name]
        for item in staged
        for row in counts
        if row[item.spec.name]
    }
    if {item.spec.name for item in staged if item.rows} != {key[0] for key in expected}:
        raise LakeError(f"rows on the branches of {staged}, expected {expected}")
    parts = [_branch(spark, item) for item in staged if item.rows]
    rows = reduce(DataFrame.unionByName, parts).collect() if parts else []
    found = {(row["table"], *(row[name] for name in _CHAIN)): row["rows"] for row in rows}
    if found != expected:
        raise LakeError(f"the branches hold {found}, expected {expected}")
    if doubled := [row for row in rows if row["doubled"]]:
        raise LakeError(f"offsets or events doubled on a branch: {doubled}")


def _branch(spark: SparkSession, item: commit.Staged) -> DataFrame:
    doubled = F.count("offset") - F.count_distinct("offset")
    if item.spec in EVENTS:
        doubled = doubled + F.count("*") - F.count_distinct("event_id")
    rows = commit.written(spark, item).groupBy(*_CHAIN)
    counted = rows.agg(F.count("*").alias("rows"), doubled.alias("doubled"))
    return counted.withColumn("table", F.lit(item.spec.name))
