"""The tables that compaction fills, with the positions from which a run serves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import LakeError
from spark_jobs import positions
from spark_jobs.bronze import BronzeObject
from spark_jobs.iceberg import LakeTable
from spark_jobs.model import Model
from spark_jobs.positions import Chain
from spark_jobs.schemas import POSITIONS, Table


@dataclass(frozen=True)
class Target:
    """A table with the snapshot and the position from which this run serves it."""

    spec: Table
    table: LakeTable
    base: int
    covered: Mapping[Chain, int]

    def beyond(self) -> Column:
        """Say whether a row lies beyond the position; a line without offset always does."""
        behind = [
            (F.col("topic") == chain.topic)
            & (F.col("generation") == chain.generation)
            & (F.col("partition") == chain.partition)
            & (F.col("offset") < offset)
            for chain, offset in self.covered.items()
        ]
        covered = reduce(lambda left, right: left | right, behind, F.lit(False))
        return ~F.coalesce(covered, F.lit(False))

    def position_after(self, objects: list[BronzeObject]) -> str:
        """Return the property that says what is covered when these objects are."""
        ends = {item.chain: item.next for item in objects if item.chain.topic in self.spec.topics}
        return positions.encode(positions.merge(self.covered, ends))


def read(spark: SparkSession, model: Model) -> list[Target]:
    """Return the tables as they are now.

    Raises:
        LakeError: one has no snapshot.
    """
    return [_target(spark, spec) for spec in model.compacted]


def start(targets: list[Target], chain: Chain) -> int:
    """Return the position from which every table of the chain's topic is served."""
    return positions.lowest(
        (target.covered for target in targets if chain.topic in target.spec.topics), chain
    )


def _target(spark: SparkSession, spec: Table) -> Target:
    table = LakeTable(spark, spec.identifier)
    base = table.head()
    if base is None:
        raise LakeError(f"{spec.identifier} has no snapshot")
    return Target(spec, table, base, positions.decode(table.last_property(POSITIONS)))
