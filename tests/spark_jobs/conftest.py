"""One Spark session for all tests; a lake of its own, in a folder, for each that asks."""

import gc
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs import bars, compact, daily_metrics, window_metrics
from spark_jobs.jobs.revise import Range
from spark_jobs.report import JobSummary
from spark_jobs.schemas import Table
from tests.spark_jobs.folder_bronze import FolderBronze


@dataclass
class Lake:
    """A lake and a bronze in a folder, and the jobs over them."""

    context: JobContext
    bronze: FolderBronze
    state: Path

    @property
    def spark(self) -> SparkSession:
        return self.context.spark

    def compact(self) -> JobSummary:
        return compact.run(self.context)

    def bars(self, sessions: Range = Range()) -> JobSummary:  # noqa: B008 - frozen
        return bars.run(self.context, sessions)

    def daily(self, sessions: Range = Range()) -> JobSummary:  # noqa: B008 - frozen
        return daily_metrics.run(self.context, sessions)

    def windows(self, sessions: Range = Range()) -> JobSummary:  # noqa: B008 - frozen
        return window_metrics.run(self.context, sessions)

    def send_batch(self, values: list, start: int = 0, partition: int = 0) -> int:
        return self.bronze.send(BATCH, values, start=start, partition=partition)

    def send_trades(self, values: list, start: int = 0, partition: int = 0) -> int:
        return self.bronze.send(REALTIME, values, start=start, partition=partition)

    def rows(self, table: Table) -> DataFrame:
        return self.spark.table(table.identifier)

    def head(self, table: Table) -> int | None:
        return LakeTable(self.spark, table.identifier).head()

    def heads_of(self, tables: Iterable[Table]) -> dict[str, int | None]:
        return {table.name: self.head(table) for table in tables}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark leaves the socket of every collect() to the garbage collector."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


@pytest.fixture(scope="session")
def root_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    state = tmp_path_factory.mktemp("spark")
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db"),
        master="local[2]",
        warehouse=f"file://{state}/warehouse",
    )
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        yield spark
    with warnings.catch_warnings():
        # The last of those sockets, while they are still ours to excuse.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def open_lake(root_session: SparkSession, folder: Path, bronze: FolderBronze) -> Lake:
    spark = root_session.newSession()
    spark.conf.set("spark.sql.catalog.lake.uri", f"jdbc:sqlite:{folder}/catalog.db")
    spark.conf.set("spark.sql.catalog.lake.warehouse", f"file://{folder}/warehouse")
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    folder.mkdir(exist_ok=True)
    # A catalog takes the settings of the session that is active when it is first used.
    spark.sql("show namespaces in lake").collect()
    return Lake(JobContext(spark, bronze, calendar.get(), SystemClock()), bronze, folder)


@pytest.fixture
def lake(root_session: SparkSession, tmp_path: Path) -> Lake:
    return open_lake(root_session, tmp_path, FolderBronze(tmp_path / "bronze"))
