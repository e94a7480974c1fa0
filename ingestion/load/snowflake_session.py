"""A session at Snowflake that can be begun anew when it is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from snowflake.connector import Error, SnowflakeConnection

from ingestion.errors import SnowflakeAwayError, SnowflakeError
from ingestion.load import snowflake_sql as sql

# An object, a name in a statement, or a right that is not there.
_MISSING = frozenset({904, 2003, 2043, 3001})
_BOOTSTRAP = "`python -m ingestion snowflake bootstrap`"


class Session:
    """One connection at a time, made when it is first needed."""

    def __init__(self, connect: Callable[[], SnowflakeConnection]) -> None:
        self._connect = connect
        self._connection: SnowflakeConnection | None = None
        self._transaction: str | None = None
        self._tag = ""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            SnowflakeError: it is refused; SnowflakeAwayError: its outcome is unknown.
        """
        with _telling(statement), self._opened().cursor() as cursor:
            cursor.execute(statement)
            # Rows are tuples: the connection makes no cursors of dictionaries.
            return [tuple(row) for row in cursor.fetchall()]

    def tag(self, text: str) -> None:
        """Tag all further statements, also those after a new beginning."""
        self._tag = text
        self.execute(sql.tag(text))

    def name(self) -> str:
        """Return account and database, which tell this warehouse from others."""
        connection = self._opened()
        return f"{connection.account}/{connection.database}".lower()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done within, or nothing of it.

        A lost connection leaves that open: ``begin_anew`` ends the transaction, the ledger knows.
        """
        self.execute("begin")
        [(self._transaction,)] = self.execute("select current_transaction()")
        try:
            yield
            self.execute("commit")
        except SnowflakeAwayError:
            raise
        except BaseException:
            self._roll_back()
            raise
        self._transaction = None

    def begin_anew(self) -> None:
        """Give up the connection, and end the transaction that it may have left open.

        A transaction that has been committed meanwhile stays so; an open one would hold the
        ledger's lock for hours.
        """
        lost, self._transaction = self._transaction, None
        self.close()
        if lost is not None:
            self.execute(f"select system$abort_transaction({lost})")

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(retry=False)

    def _opened(self) -> SnowflakeConnection:
        if self._connection is None:
            self._connection = self._connect()
            for statement in (*sql.begin_session(), sql.tag(self._tag)):
                self.execute(statement)
        return self._connection

    def _roll_back(self) -> None:
        try:
            self.execute("rollback")
        except SnowflakeError:
            # The error that is being raised is the one to tell; this session ends with it, and
            # Snowflake rolls back what a session leaves open.
            self.close()
        self._transaction = None


@contextmanager
def _telling(statement: str) -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise _told(error, " ".join(statement.split()[:4])) from error
