"""Whether the warehouse holds raw rows that no published build has seen."""

from collections.abc import Callable
from contextlib import closing

import duckdb
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from dbt_stocks import books, catalog
from dbt_stocks.place import Place
from ingestion.lock import held
from ingestion.settings import WarehouseSettings

_NEWS = """
select count(*) > 0
from ops.load_ledger
where rows > 0 and loaded_at > coalesce(
    (select max(started_at) from ops.builds where status = 'published'), '-infinity'
)
"""
_HAS_BUILDS = "select count(*) from duckdb_tables() where schema_name = 'ops' and table_name = ?"


class NewsOperator(BaseOperator):
    """Skip what follows where every loaded row is in the published build already.

    Read from the warehouse's own books, not from what a load of this run said: rows of a run whose
    build failed are news until a build has taken them.
    """

    def execute(self, context: Context) -> None:
        """Look.

        Raises:
            AirflowSkipException: there is nothing new.
            WarehouseLockedError: another process holds the warehouse for too long.
        """
        del context
        if not is_due(WarehouseSettings.load(), self.log.info):
            raise AirflowSkipException("nothing new since the published build began")


def is_due(settings: WarehouseSettings, say: Callable[[str], None]) -> bool:
    """Tell whether rows were loaded after the published build had begun, or nothing is published.

    Loads and builds hold one lock from before their first look to their commit: a load's time is
    before a build's beginning exactly when that build saw it. In Snowflake who builds may not
    read the ledger: there the load batches of the raw tables tell.
    """
    if settings.engine == "snowflake":
        return _is_due_in_snowflake(say)
    with (
        held(settings.lock(), settings.lock_timeout_s, say),
        closing(duckdb.connect(settings.file(), read_only=True)) as db,
    ):
        if not _one(db, _HAS_BUILDS, ["builds"]):
            return True
        return bool(_one(db, _NEWS, []))


def _is_due_in_snowflake(say: Callable[[str], None]) -> bool:
    place = Place.load("snowflake")
    with place.held(say), place.warehouse.opened() as gold:
        shown = books.published(gold.db)
        seen = books.find(gold.db, shown[0]).load_batch_id if shown else None
        return seen is None or catalog.last_batch(gold.db) > seen


def _one(db: duckdb.DuckDBPyConnection, query: str, parameters: list[str]) -> int:
    [(found,)] = db.execute(query, parameters).fetchall()
    return int(found)
