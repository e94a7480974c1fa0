"""Write, audit, publish: rows go to a branch, main moves only when the branch is right."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from ingestion.errors import LakeError
from spark_jobs.iceberg import LakeTable, conflicts
from spark_jobs.schemas import Table

# Spark neither sends nor sorts them again; the writer refuses a partition that comes twice.
_AS_THEY_COME: Final = {"use-table-distribution-and-ordering": "false", "fanout-enabled": "false"}

_log = structlog.get_logger(component="commit")


@dataclass(frozen=True)
class Staged:
    """One commit on a branch, off the snapshot ``base`` of main."""

    spec: Table
    table: LakeTable
    base: int
    branch: str
    rows: int
    files: int
    bytes: int

    def publish(self) -> None:
        """Move main to the branch.

        Raises:
            CommitConflictError: main is no longer what the branch was made from.
        """
        self.table.refresh()
        self.table.fast_forward(self.branch)

    def abandon(self) -> None:
        """Drop the branch; where even that fails, snapshot expiry does it later."""
        try:
            self.table.drop_branch(self.branch)
        except (Py4JError, PySparkException, LakeError) as error:
            _log.warning("branch_left", table=self.spec.identifier, error=str(error)[:200])


@contextmanager
def branches() -> Iterator[list[Staged]]:
    """Collect staged commits; when the block fails, their branches are dropped."""
    staged: list[Staged] = []
    try:
        yield staged
    except BaseException:
        for item in staged:
            item.abandon()
        raise


def stage(
    spec: Table,
    table: LakeTable,
    base: int,
    branch: str,
    rows: DataFrame | None,
    properties: Mapping[str, str],
    *,
    laid_out: bool = False,
) -> Staged:
    """Commit rows (None: an empty commit) with snapshot properties to a new branch off ``base``.

    ``base`` is the snapshot of main that the rows were computed against. Rows that are ``laid_out``
    come as the table wants them: by partition, each in one task, and in the table's order.

    Raises:
        CommitConflictError: other writers were in the way too often.
    """
    table.create_branch(branch, base)
    if rows is None:
        table.append_nothing(properties, branch)
    else:
        options = _AS_THEY_COME if laid_out else {}
        _append(spec, branch, rows, options | _of_snapshot(properties))
    table.refresh()
    return Staged(spec, table, base, branch, *table.added(branch))


def written(spark: SparkSession, staged: Staged) -> DataFrame:
    """Return the rows that the branch adds to its base, read back from its files."""
    return (
        spark.read.option("start-snapshot-id", staged.base)
        .option("end-snapshot-id", staged.table.head(staged.branch))
        .table(staged.spec.identifier)
    )


def _append(spec: Table, branch: str, rows: DataFrame, options: Mapping[str, str]) -> None:
    writer = rows.select(*spec.columns).writeTo(f"{spec.identifier}.branch_{branch}")
    with conflicts(spec.identifier):
        writer.options(**options).append()


def _of_snapshot(properties: Mapping[str, str]) -> dict[str, str]:
    return {f"snapshot-property.{name}": value for name, value in properties.items()}
