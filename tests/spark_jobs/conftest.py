"""One Spark session for all tests; a lake of its own, in a folder, for each that asks."""

import gc
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

from infra.local.services import CLUSTER
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.settings import LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.context import JobContext
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs import anomalies, bars, compact, daily_metrics, window_metrics
from spark_jobs.jobs.revise import Range
from spark_jobs.report import JobSummary
from spark_jobs.schemas import Table
from tests.conftest import StackFactory
from tests.spark_jobs.folder_bronze import FolderBronze


@pytest.fixture(scope="session")
def a_cluster(stack_factory: StackFactory) -> tuple[str, SecretStr | None]:
    """The master of a cluster for all tests, and its secret."""
    settings = stack_factory.make("spark", CLUSTER).layout.lake
    return f"spark://127.0.0.1:{settings.cluster_port}", settings.cluster_secret


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

    def anomalies(self, sessions: Range = Range()) -> JobSummary:  # noqa: B008 - frozen
        return anomalies.run(self.context, sessions)

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
def root_session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    """A local session; with SPARK_TEST_CLUSTER set one on a cluster (`make test-cluster`)."""
    state = tmp_path_factory.mktemp("spark")
    on_cluster = "SPARK_TEST_CLUSTER" in os.environ
    master, secret = request.getfixturevalue("a_cluster") if on_cluster else ("local[2]", None)
    plan = session.SessionPlan(
        ProjectSettings(state_dir=state),
        StoreSettings(),
        LakeSettings(catalog_uri=f"sqlite:///{state}/catalog.db", cluster_secret=secret),
        master=master,
        warehouse=f"file://{state}/warehouse",
    )
    with session.running(plan) as spark:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        yield spark
    with warnings.catch_warnings():
        # The last of those sockets, while they are still ours to excuse.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def open_lake(root_session: SparkSession, folder: Path, bronze: FolderBronze | None = None) -> Lake:
    """Return the lake in a folder, whoever has made it; bronze lies there, too, by default."""
    spark = root_session.newSession()
    spark.conf.set("spark.sql.catalog.lake.uri", f"jdbc:sqlite:{folder}/catalog.db")
    spark.conf.set("spark.sql.catalog.lake.warehouse", f"file://{folder}/warehouse")
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    folder.mkdir(exist_ok=True)
    # A catalog takes the settings of the session that is active when it is first used.
    spark.sql("show namespaces in lake").collect()
    bronze = bronze or FolderBronze(folder / "bronze")
    return Lake(JobContext(spark, bronze, calendar.get(), SystemClock()), bronze, folder)


@pytest.fixture
def lake(root_session: SparkSession, tmp_path: Path) -> Lake:
    return open_lake(root_session, tmp_path)
