"""Create the lake's tables and views where they are missing; change nothing that is there."""

from collections.abc import Iterable

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ingestion.errors import CommitConflictError
from spark_jobs.iceberg import LakeTable, iceberg
from spark_jobs.schemas import (
    CATALOG,
    METRIC_KEYS,
    METRICS,
    TABLES,
    Table,
)

_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.target-file-size-bytes": str(128 * 2**20),
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "commit.retry.num-retries": "10",
}

_ATTEMPTS = 5


def ensure(spark: SparkSession, wanted: Iterable[Table] = TABLES) -> None:
    """Create what is missing of the tables, their order, first snapshot and latest views."""
    tables = tuple(wanted)
    for attempt in range(_ATTEMPTS):
        try:
            return _create_missing(spark, tables)
        except (PySparkException, Py4JError, CommitConflictError) as error:
            # `if not exists` is no lock: another first run may create the same table meanwhile.
            if attempt + 1 == _ATTEMPTS or not _is_race(error):
                raise


def _create_missing(spark: SparkSession, tables: tuple[Table, ...]) -> None:
    missing = [table for table in tables if not exists(spark, table)]
    for namespace in sorted({table.namespace for table in missing}):
        spark.sql(f"create namespace if not exists {CATALOG}.{namespace}")
    for table in missing:
        _create(spark, table)


def _is_race(error: Exception) -> bool:
    signs = ("already exists", "AlreadyExists", "ALREADY_EXISTS", "CommitFailed", "CONSTRAINT")
    return isinstance(error, CommitConflictError) or any(sign in str(error) for sign in signs)


def latest(table: Table) -> str:
    """Return the query for the current row of each key: the one with the highest revision."""
    keys = ", ".join(METRIC_KEYS[table.name])
    columns = ", ".join(f"`{name}`" for name in table.columns)
    return (
        f"select {columns} from ("  # noqa: S608 - names from schemas.py
        f"select *, row_number() over (partition by {keys} order by revision desc) as newest "
        f"from {table.identifier}) where newest = 1"
    )


def exists(spark: SparkSession, table: Table) -> bool:
    """Return whether a table is there, whole."""
    library = iceberg(spark)
    catalog = library.spark.Spark3Util.loadIcebergCatalog(spark._jsparkSession, CATALOG)
    name = library.catalog.TableIdentifier.parse(f"{table.namespace}.{table.name}")
    # The first snapshot comes last: a creation that died half-way is finished.
    return bool(catalog.tableExists(name)) and LakeTable(spark, table.identifier).head() is not None


def _create(spark: SparkSession, table: Table) -> None:
    properties = ", ".join(f"'{name}'='{value}'" for name, value in _PROPERTIES.items())
    spark.sql(
        f"create table if not exists {table.identifier} ({table.ddl}) using iceberg "
        f"partitioned by ({table.partitioning}) tblproperties ({properties})"
    )
    if table in METRICS:
        spark.sql(f"create or replace view {table.identifier}_latest as {latest(table)}")
    # By partition: a file per partition, not one per task and partition.
    order = ", ".join(f"`{name}`" for name in table.sort)
    spark.sql(
        f"alter table {table.identifier} write distributed by partition locally ordered by {order}"
    )
    # A branch needs a snapshot to grow from, and fast-forward one to compare with.
    LakeTable(spark, table.identifier).append_nothing({})
