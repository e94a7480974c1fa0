"""A stream's batches in a table: each is committed once, and numbered beyond what was there.

The snapshot property ``tapehouse.stream`` is JSON: the query that wrote last, its last batch, and
the revision that the query's batch 0 has or would have. A query is the life of one checkpoint.
"""

import uuid
from typing import Final, Self

import msgspec
import structlog
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import CommitConflictError, LakeError
from spark_jobs import commit
from spark_jobs.iceberg import LakeTable
from spark_jobs.schemas import Table

STREAM: Final = "tapehouse.stream"
_ATTEMPTS: Final = 20

_log = structlog.get_logger(component="stream")


class Epoch(msgspec.Struct, frozen=True):
    """One batch of one query; ``first`` is the revision of the query's batch 0."""

    query: str
    batch: int
    first: int

    @property
    def revision(self) -> int:
        """The revision of the batch's rows."""
        return self.first + self.batch

    @classmethod
    def after(cls, text: str | None, query: str, batch: int) -> Self | None:
        """Return the epoch of a batch beyond a property's; None where that one covers it.

        Raises:
            LakeError: the text is not what ``text()`` writes.
        """
        if text is None:
            return cls(query, batch, 0)
        last = cls.read(text)
        if last.query == query:
            return cls(query, batch, last.first) if batch > last.batch else None
        return cls(query, batch, last.revision + 1 - batch)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the property.

        Raises:
            LakeError: the text is not what ``text()`` writes.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise LakeError(f"expected {STREAM} as JSON, found {text!r}") from error

    def text(self) -> str:
        """Write the property."""
        return msgspec.json.encode(self).decode()


def commit_once(
    spark: SparkSession, spec: Table, rows: DataFrame, query: str, batch: int
) -> commit.Staged | None:
    """Commit a batch's rows with their revision; None where the table has had the batch.

    Main is moved only from the snapshot whose property was read: of two processes that run one
    query by mistake, or a maintenance in between, the second to come looks again.

    Raises:
        CommitConflictError: others were in the way too often.
    """
    for _ in range(_ATTEMPTS):
        table = LakeTable(spark, spec.identifier)
        base, epoch = table.head(), Epoch.after(table.last_property(STREAM), query, batch)
        if base is None:
            raise LakeError(f"{spec.identifier} has no snapshot")
        if epoch is None:
            return None
        revised = rows.withColumn("revision", F.lit(epoch.revision).cast("int"))
        try:
            return _publish(spec, table, base, revised, epoch)
        except CommitConflictError as error:
            _log.info("lost_the_race", table=spec.identifier, detail=str(error))
    raise CommitConflictError(f"{spec.identifier}: gave up after {_ATTEMPTS} attempts")


def _publish(
    spec: Table, table: LakeTable, base: int, rows: DataFrame, epoch: Epoch
) -> commit.Staged:
    branch = f"stream_{uuid.uuid4().hex}"
    with commit.branches() as staged:
        staged.append(commit.stage(spec, table, base, branch, rows, {STREAM: epoch.text()}))
        staged[0].publish()
    return staged[0]
