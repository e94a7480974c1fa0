"""A thin handle on Iceberg's Java API, in the session's own JVM.

Branches, empty commits and snapshot properties take one call each there; in SQL each would be a
Spark job, and an empty commit cannot be said at all.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion.errors import CommitConflictError
from spark_jobs.schemas import CATALOG, Table

MAIN: Final = "main"
# A run that died leaves its branch; `maintain` drops it after this time.
_BRANCH_AGE_MS: Final = 24 * 3600 * 1000
# As a table's partitioning says it, and as Iceberg's builder calls it.
_TRANSFORMS: Final = {"": "identity", "years": "year"}
_CONFLICTS: Final = (
    "org.apache.iceberg.exceptions.CommitFailedException",
    "Cannot fast-forward",
)


def java(spark: SparkSession) -> JavaObject:
    """Return the session's JVM."""
    gateway = spark.sparkContext._jvm
    assert gateway is not None  # noqa: S101 - a running session has its JVM
    return gateway


def iceberg(spark: SparkSession) -> JavaObject:
    """Return Iceberg's Java package in the session's JVM."""
    return java(spark).org.apache.iceberg


def catalog(spark: SparkSession) -> JavaObject:
    """Return Iceberg's own catalog behind Spark's."""
    loader = iceberg(spark).spark.Spark3Util
    return loader.loadIcebergCatalog(spark._jsparkSession, CATALOG)


def create_table(spark: SparkSession, table: Table, properties: Mapping[str, str]) -> None:
    """Create a table with its order and a first, empty snapshot, in one commit.

    A branch needs a snapshot to grow from, and fast-forward one to compare with.
    """
    library, types = iceberg(spark), java(spark).org.apache.spark.sql.types
    schema = library.spark.SparkSchemaUtil.convert(types.StructType.fromDDL(table.ddl))
    transform, _, column = table.partitioning.rstrip(")").rpartition("(")
    spec = getattr(library.PartitionSpec.builderFor(schema), _TRANSFORMS[transform])(column)
    order = library.SortOrder.builderFor(schema)
    for name in table.sort:
        order.asc(name)
    identifier = library.catalog.TableIdentifier.parse(f"{table.namespace}.{table.name}")
    builder = catalog(spark).buildTable(identifier, schema).withPartitionSpec(spec.build())
    builder = builder.withSortOrder(order.build())
    for name, value in properties.items():
        builder.withProperty(name, value)
    created = builder.createTransaction()
    created.newAppend().commit()
    created.commitTransaction()


def view_columns(spark: SparkSession, name: str) -> list[str]:
    """Return the columns of a view, given as namespace and name; none where there is no view."""
    identifier = iceberg(spark).catalog.TableIdentifier.parse(name)
    views = catalog(spark)
    return _names(views.loadView(identifier).schema()) if views.viewExists(identifier) else []


def _names(schema: JavaObject) -> list[str]:
    return [str(column.name()) for column in schema.columns()]


class LakeTable:
    """One table as of the last ``refresh()``."""

    def __init__(self, spark: SparkSession, identifier: str) -> None:
        self.identifier = identifier
        self._jvm: JavaObject = java(spark)
        library = iceberg(spark)
        loader = library.spark.Spark3Util
        self._table: JavaObject = loader.loadIcebergTable(spark._jsparkSession, identifier)
        self._snapshots: JavaObject = library.util.SnapshotUtil

    def refresh(self) -> None:
        """Read the table's newest metadata."""
        self._table.refresh()

    def columns(self) -> list[str]:
        """Return the names of the columns that the table has now."""
        return _names(self._table.schema())

    def head(self, ref: str = MAIN) -> int | None:
        """Return the snapshot id of a branch, or None."""
        snapshot = self._table.snapshot(ref)
        return None if snapshot is None else int(snapshot.snapshotId())

    def total_records(self) -> int:
        """Return how many rows main holds."""
        snapshot = self._table.snapshot(MAIN)
        return 0 if snapshot is None else int(snapshot.summary().get("total-records") or 0)

    def added(self, ref: str) -> tuple[int, int, int]:
        """Return (rows, files, bytes) that the last commit of a branch added."""
        summary = self._table.snapshot(ref).summary()
        return (
            int(summary.get("added-records") or 0),
            int(summary.get("added-data-files") or 0),
            int(summary.get("added-files-size") or 0),
        )

    def contains(self, ancestor: int) -> bool:
        """Return whether main descends from a snapshot that still exists."""
        head = self.head()
        if head is None or self._table.snapshot(ancestor) is None:
            return False
        return bool(self._snapshots.isAncestorOf(self._table, head, ancestor))

    def last_property(self, name: str) -> str | None:
        """Return a snapshot property's newest value on main.

        Compaction's ``replace`` snapshots carry none and expiry may break main's ancestry; then
        the newest tagged snapshot that has the property answers.
        """
        found = (snapshot.summary().get(name) for snapshot in self._ancestry())
        value = next((value for value in found if value is not None), None)
        return value if value is not None else self._tagged_property(name)

    def create_branch(self, name: str, snapshot: int) -> None:
        """Branch off a snapshot of main.

        By its id, not "main now": main may move between a look at it and the branch's commit.

        Raises:
            CommitConflictError: another writer was in the way too often, or the snapshot is gone.
        """
        base = self._table.snapshot(snapshot)
        if base is None:
            raise CommitConflictError(f"{self.identifier}: snapshot {snapshot} has expired")
        # Expiry takes a branch's age for that of its snapshot: where nothing was committed for
        # days, a running job's branch would be too old the moment it is made.
        old = self._jvm.java.lang.System.currentTimeMillis() - base.timestampMillis()
        with conflicts(self.identifier):
            branched = self._table.manageSnapshots().createBranch(name, snapshot)
            branched.setMaxRefAgeMs(name, max(0, old) + _BRANCH_AGE_MS).commit()

    def append_nothing(self, properties: Mapping[str, str], branch: str = MAIN) -> None:
        """Commit a snapshot without rows, for its properties.

        Raises:
            CommitConflictError: other writers were in the way too often.
        """
        with conflicts(self.identifier):
            append = self._table.newAppend().toBranch(branch)
            for name, value in properties.items():
                append.set(name, value)
            append.commit()

    def fast_forward(self, branch: str) -> None:
        """Move main to the branch's head and drop the branch, in one commit.

        Raises:
            CommitConflictError: main has moved since the branch was made.
        """
        with conflicts(self.identifier):
            moved = self._table.manageSnapshots().fastForwardBranch(MAIN, branch)
            moved.removeBranch(branch).commit()

    def drop_branch(self, name: str) -> None:
        """Remove a branch if it is there."""
        self.refresh()
        if self._table.snapshot(name) is not None:
            with conflicts(self.identifier):
                self._table.manageSnapshots().removeBranch(name).commit()

    def refs(self) -> tuple[str, ...]:
        """Return the names of the branches and tags that there are."""
        return tuple(str(name) for name in self._table.refs())

    def lineage(self, ref: str = MAIN) -> list[int]:
        """Return the ids of a branch's snapshots that still exist, the newest first."""
        return [int(snapshot.snapshotId()) for snapshot in self._ancestry(ref)]

    def _ancestry(self, ref: str = MAIN) -> Iterator[JavaObject]:
        snapshot = self._table.snapshot(ref)
        while snapshot is not None:
            yield snapshot
            parent = snapshot.parentId()
            snapshot = None if parent is None else self._table.snapshot(parent)

    def _tagged_property(self, name: str) -> str | None:
        found: list[tuple[int, str]] = []
        for ref in self._table.refs().values():
            snapshot = self._table.snapshot(ref.snapshotId()) if ref.isTag() else None
            value = snapshot.summary().get(name) if snapshot is not None else None
            if snapshot is not None and value is not None:
                found.append((int(snapshot.sequenceNumber()), value))
        return max(found)[1] if found else None


@contextmanager
def conflicts(identifier: str) -> Iterator[None]:
    """Turn Iceberg's refusal of a stale commit into ours.

    Raises:
        CommitConflictError: another writer has committed in between.
    """
    try:
        yield
    # PySpark gives some of Java's classes a Python one, IllegalArgumentException among them.
    except (Py4JJavaError, PySparkException) as error:
        text = str(error.java_exception) if isinstance(error, Py4JJavaError) else str(error)
        if not any(sign in text for sign in _CONFLICTS):
            raise
        raise CommitConflictError(f"{identifier}: another job has committed: {text}") from error
