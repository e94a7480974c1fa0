"""Gold in Snowflake, read as READER, for a `MirroredGold`.

The question which build is published has always the same text: Snowflake answers it from its
result cache, without a warehouse, until gold is swapped.
"""

from collections.abc import Callable, Mapping
from typing import Final

import duckdb
from snowflake.connector import Error, SnowflakeConnection

from dashboards.contract import Table
from dbt_stocks import books, catalog
from dbt_stocks.books import Build
from dbt_stocks.engine import GOLD
from dbt_stocks.snowflake_publishing import SnowflakeSession
from ingestion.errors import BuildError, SnowflakeError
from ingestion.settings import SnowflakeSettings
from ingestion.snowflake import diagnosis
from ingestion.snowflake.connection import connection

_TAG: Final = "screens"
_RECORD: Final = f"{GOLD}.{catalog.RECORD}"


class SnowflakeSource:
    """A database of an account; implements ``Source``. Its session is kept until it fails."""

    def __init__(
        self,
        settings: SnowflakeSettings,
        connect: Callable[[], SnowflakeConnection] | None = None,
    ) -> None:
        """Take where it is; nobody logs in yet."""
        self._settings = settings
        self._connect = connect or (lambda: connection(settings, "reader", _TAG))
        self._session: SnowflakeConnection | None = None

    @property
    def name(self) -> str:
        """Return a name made of host, port and database."""
        return self._settings.name()

    def build_id(self) -> str:
        """Return the build that readers are shown."""
        return self._record()[0].build_id

    def copy(self, db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Build:
        """Fill tables; each statement sees gold of its own moment, so both ends have to agree."""
        before, why = self._record()
        for table in tables.values():
            self._fill(db, table)
        after, why_now = self._record()
        # Gone back to within a copy, a build has another reason, which has the time of it.
        if (after, why_now) != (before, why):
            raise BuildError(
                f"build {after.build_id} was published while {before.build_id} was copied"
            )
        return before

    def close(self) -> None:
        """Log out."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _record(self) -> tuple[Build, str | None]:
        try:
            return books.recorded_in(SnowflakeSession(self._logged_in()), _RECORD)
        except SnowflakeError:
            self.close()
            raise

    def _fill(self, db: duckdb.DuckDBPyConnection, table: Table) -> None:
        columns = ", ".join(table.columns)
        casts = ", ".join(
            f'cast("{name}" as {column.type_in("duckdb")})'
            for name, column in table.columns.items()
        )
        rows = 0
        try:
            with self._logged_in().cursor() as cursor:
                cursor.execute(f"select {columns} from {GOLD}.{table.name}")  # noqa: S608 - names of the contract
                expected = cursor.rowcount
                for batch in cursor.fetch_arrow_batches():
                    named = batch.rename_columns(list(table.columns))
                    db.register("arrived", named)
                    db.execute(f"insert into {GOLD}.{table.name} select {casts} from arrived")  # noqa: S608 - as above
                    rows += batch.num_rows
        except Error as error:
            self.close()
            raise diagnosis.of_statement(error, f"select from {GOLD}.{table.name}") from error
        if rows != expected:
            raise BuildError(f"{GOLD}.{table.name}: expected {expected} rows, found {rows}")

    def _logged_in(self) -> SnowflakeConnection:
        if self._session is None or self._session.is_closed():
            self._session = self._connect()
        return self._session
