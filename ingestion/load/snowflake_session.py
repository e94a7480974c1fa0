"""A session at Snowflake that can be begun anew when it is lost."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from snowflake.connector import Error, SnowflakeConnection

from ingestion.errors import SnowflakeAwayError, SnowflakeError
from ingestion.load import snowflake_sql as sql
from ingestion.snowflake import diagnosis

# An object, a column or a right is not there: the load makes none of them.
_MISSING = frozenset({904, 2003, 2043, 3001})
_WORDS = 4


class Session:
    """One connection at a time, made when it is first needed."""

    def __init__(self, connect: Callable[[], SnowflakeConnection], tag: str) -> None:
        self._connect = connect
        self._connection: SnowflakeConnection | None = None
        self._transaction: str | None = None
        self._tag = self._prefix = tag
        self._began_s: float | None = None
        self._ended_s = 0.0

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises:
            SnowflakeError: it is refused; SnowflakeAwayError: its outcome is unknown.
        """
        _, rows = self._run(statement)
        return rows

    def show(self, statement: str) -> list[dict[str, Any]]:
        """Run a SHOW and return its rows by column: Snowflake adds columns as it grows."""
        names, rows = self._run(statement)
        return [dict(zip(names, row, strict=True)) for row in rows]

    @property
    def has_begun(self) -> bool:
        """Return whether a login has succeeded: before that no outcome is unknown."""
        return self._began_s is not None

    @property
    def seconds(self) -> float:
        """Return the time from the first statement to the end of the last one."""
        return 0.0 if self._began_s is None else self._ended_s - self._began_s

    def execute_all(self, statements: Iterable[str]) -> None:
        """Run statements in turn."""
        for statement in statements:
            self.execute(statement)

    def tag(self, target: str) -> None:
        """Tag all further statements with what they are for, also those of a new session."""
        text = f"{self._prefix}:{target}"
        is_new, self._tag = text != self._tag, text
        if self._connection is None:
            self._opened()
        elif is_new:
            self.execute(sql.tag(text))

    @contextmanager
    def transaction(self) -> Iterator[str | None]:
        """Commit what is done within, or nothing of it; yield Snowflake's id of it.

        With a lost connection that is unknown: ``begin_anew``, and look.
        """
        self.execute("begin")
        [(found,)] = self.execute("select current_transaction()")
        self._transaction = None if found is None else str(found)
        try:
            yield self._transaction
            self.execute("commit")
        except SnowflakeAwayError:
            raise
        except BaseException:
            self._roll_back()
            raise
        self._transaction = None

    def begin_anew(self) -> None:
        """Give up the connection, and end the transaction that it may have left open.

        A transaction that has been committed meanwhile stays so; an open one would hold the lock
        of all loads until Snowflake ends it.
        """
        self.close()
        if self._transaction is not None:
            self.execute(f"select system$abort_transaction({self._transaction})")
            self._transaction = None

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

    def _run(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        opened = self._opened()
        if self._began_s is None:
            self._began_s = time.monotonic()
        with _telling(statement), opened.cursor() as cursor:
            cursor.execute(statement)
            # Rows are tuples: the connection makes no cursors of dictionaries.
            rows = [tuple(row) for row in cursor.fetchall()]
            names = [column.name.lower() for column in cursor.description]
        self._ended_s = time.monotonic()
        return names, rows

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
        what = " ".join(statement.split()[:_WORDS])
        if diagnosis.code(error) in _MISSING:
            what += " (what is missing `python -m ingestion snowflake bootstrap` makes)"
        raise diagnosis.of_statement(error, what) from error
