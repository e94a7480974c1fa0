"""Create the lake's tables and views where they are missing; add columns that tables lack."""

from collections.abc import Iterable

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from ingestion.errors import CommitConflictError
from spark_jobs.iceberg import LakeTable, catalog, create_table, iceberg, view_columns
from spark_jobs.schemas import (
    CATALOG,
    METRIC_KEYS,
    SOME,
    TABLES,
    Table,
)

_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "zstd",
    "write.target-file-size-bytes": str(128 * 2**20),
    # By partition: a file per partition, not one per task and partition.
    "write.distribution-mode": "hash",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "commit.retry.num-retries": "10",
}

_ATTEMPTS = 5


def ensure(spark: SparkSession, wanted: Iterable[Table] = TABLES) -> None:
    """Create what is missing of the tables, columns and latest views."""
    tables = tuple(wanted)
    for attempt in range(_ATTEMPTS):
        try:
            return _create_missing(spark, tables)
        except (PySparkException, Py4JError, CommitConflictError) as error:
            # `if not exists` is no lock: another first run may create the same table meanwhile.
            if attempt + 1 == _ATTEMPTS or not _is_race(error):
                raise


def at(spark: SparkSession, table: Table, snapshot: int | None) -> DataFrame:
    """Return a table's rows as of a snapshot; a column that is younger than it is NULL there."""
    rows = spark.read.option("versionAsOf", snapshot).table(table.identifier)
    younger = table.columns.keys() - set(rows.columns)
    return rows.withColumns({n: F.lit(None).cast(table.columns[n]) for n in sorted(younger)})


def _create_missing(spark: SparkSession, tables: tuple[Table, ...]) -> None:
    missing = [table for table in tables if not exists(spark, table)]
    for namespace in sorted({table.namespace for table in missing}):
        spark.sql(f"create namespace if not exists {CATALOG}.{namespace}")
    for table in tables:
        if table in missing:
            _create(spark, table)
        else:
            _add_columns(spark, table)


def _is_race(error: Exception) -> bool:
    signs = ("already exists", "AlreadyExists", "ALREADY_EXISTS", "CommitFailed", "CONSTRAINT")
    return isinstance(error, CommitConflictError) or any(sign in str(error) for sign in signs)


def latest(table: Table) -> str:
    """Return the query for the current row of each key: the one with the highest revision.

    A bar that has lost all of its trades is no bar any more, an anomaly that has gone is none.
    """
    keys = ", ".join(f"`{name}`" for name in METRIC_KEYS[table.name])
    columns = ", ".join(f"`{name}`" for name in table.columns)
    some = f" and {SOME[table.name]}" if table.name in SOME else ""
    return (
        f"select {columns} from ("  # noqa: S608 - names from schemas.py
        f"select *, row_number() over (partition by {keys} order by revision desc) as newest "
        f"from {table.identifier}) where newest = 1{some}"
    )


def exists(spark: SparkSession, table: Table) -> bool:
    """Return whether a table is there."""
    name = iceberg(spark).catalog.TableIdentifier.parse(f"{table.namespace}.{table.name}")
    return bool(catalog(spark).tableExists(name))


def _add_columns(spark: SparkSession, table: Table) -> None:
    """Bring an older table to the columns of now; its rows have NULL in the new ones."""
    held = LakeTable(spark, table.identifier).columns()
    new = {name: kind for name, kind in table.columns.items() if name not in held}
    if new:
        added = ", ".join(f"`{name}` {kind}" for name, kind in new.items())
        spark.sql(f"alter table {table.identifier} add columns ({added})")
    # After the columns: a run that died in between finds the view to be the older one.
    if table.name in METRIC_KEYS and set(table.columns) - set(view_columns(spark, _latest(table))):
        _create_view(spark, table)


def _create_view(spark: SparkSession, table: Table) -> None:
    spark.sql(f"create or replace view {CATALOG}.{_latest(table)} as {latest(table)}")


def _latest(table: Table) -> str:
    return f"{table.namespace}.{table.name}_latest"


def _create(spark: SparkSession, table: Table) -> None:
    create_table(spark, table, _PROPERTIES)
    if table.name in METRIC_KEYS:
        _create_view(spark, table)
