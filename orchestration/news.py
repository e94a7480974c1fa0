"""Whether the warehouse holds raw rows that no published build has seen."""

from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import duckdb
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from dbt_stocks import books, catalog
from dbt_stocks.place import Place
from ingestion.lock import held
from ingestion.settings import WarehouseSettings
from orchestration import summary

_NEWS = """
select count(*) > 0
from ops.load_ledger
where rows > 0 and loaded_at > coalesce(
    (select max(started_at) from ops.builds where status = 'published'), '-infinity'
)
"""
_HAS_BUILDS = "select count(*) from duckdb_tables() where schema_name = 'ops' and table_name = ?"


class News(NamedTuple):
    """Whether there is something to build, and whether a DAG's newest page tells of a failure."""

    is_due: bool
    has_failed: bool


class NewsOperator(BaseOperator):
    """Skip what follows where every loaded row is in the published build already.

    Read from the warehouse's own books, not from what a load of this run said: rows of a run whose
    build failed are news until a build has taken them. Where the newest page tells of a failure
    only ``skips`` is skipped, for this run's page says that it is over.
    """

    def __init__(
        self,
        *,
        skips: str,
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.skips = skips

    def execute(self, context: Context) -> None:
        """Look.

        Raises:
            AirflowSkipException: there is nothing new.
            DownstreamTasksSkipped: as before, and a failure is to be taken back.
            WarehouseLockedError: another process holds the warehouse for too long.
        """
        found = look(WarehouseSettings.load(), context["ti"].dag_id, self.log.info)
        if found.is_due:
            return
        text = "nothing new since the published build began"
        if found.has_failed:
            self.log.info("%s; the run before failed, this one tells that it did not", text)
            raise DownstreamTasksSkipped(tasks=[self.skips])  # type: ignore[no-untyped-call]
        raise AirflowSkipException(text)


def look(settings: WarehouseSettings, dag_id: str, say: Callable[[str], None]) -> News:
    """Tell whether rows were loaded after the published build had begun, or nothing is published.

    Loads and builds hold one lock from before their first look to their commit: a load's time is
    before a build's beginning exactly when that build saw it. In Snowflake who builds may not
    read the ledger: there the load batches of the raw tables tell.
    """
    if settings.engine == "snowflake":
        place = Place.load("snowflake")
        with place.held(say), place.warehouse.opened() as gold:
            return News(_is_due_in_snowflake(gold.db), summary.has_failed(gold.db, dag_id))
    with (
        held(settings.lock(), settings.lock_timeout_s, say),
        closing(duckdb.connect(settings.file(), read_only=True)) as db,
    ):
        return News(_is_due(db), summary.has_failed(db, dag_id))


def _is_due(db: duckdb.DuckDBPyConnection) -> bool:
    return not _one(db, _HAS_BUILDS, ["builds"]) or bool(_one(db, _NEWS, []))


def _is_due_in_snowflake(db: catalog.Session) -> bool:
    shown = books.published(db)
    seen = books.find(db, shown[0]).load_batch_id if shown else None
    return seen is None or catalog.last_batch(db) > seen


def _one(db: duckdb.DuckDBPyConnection, query: str, parameters: list[str]) -> int:
    [(found,)] = db.execute(query, parameters).fetchall()
    return int(found)
