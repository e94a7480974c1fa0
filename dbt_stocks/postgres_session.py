"""A session at the PostgreSQL that serves gold; an error is one line, without a password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import psycopg2
from psycopg2 import extensions

from ingestion.cli import one_line
from ingestion.errors import BuildError, ServingAwayError, ServingError, SettingsError

_CONNECT_TIMEOUT_S: Final = 10
# A network that drops packets without a word would be waited for by the hour.
_ALIVE: Final[dict[str, Any]] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# A login that fails so fails again.
_REFUSALS: Final = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password",
)


@contextmanager
def connected(url: str) -> Iterator[Any]:
    """Log in, and out at the end; what is raised in between is told as ours.

    Raises:
        ServingError: PostgreSQL refuses the login or a statement.
        ServingAwayError: it cannot be reached, or has ended the session.
        BuildError: DuckDB's file cannot be read or written.
        SettingsError: the URL is none.
    """
    require_url(url)
    try:
        db = psycopg2.connect(
            url,
            connect_timeout=_CONNECT_TIMEOUT_S,
            application_name="tapehouse serving",
            **_ALIVE,
        )
    except psycopg2.OperationalError as error:
        text = one_line(str(error))
        if any(refusal in text for refusal in _REFUSALS):
            raise ServingError(f"PostgreSQL: {text}") from None
        raise ServingAwayError(f"PostgreSQL: {text}") from None
    try:
        yield db
    except psycopg2.Error as error:
        # Operational: the session was ended, the disk is full, somebody else serves for too long.
        is_away = isinstance(error, psycopg2.OperationalError) or db.closed
        kind = ServingAwayError if is_away else ServingError
        raise kind(f"PostgreSQL: {one_line(str(error))}") from error
    except duckdb.Error as error:
        raise BuildError(one_line(str(error))) from error
    finally:
        db.close()


def require_url(url: str) -> None:
    """Refuse what libpq would quote in its error, password and all."""
    try:
        host = extensions.parse_dsn(url).get("host", "")
    except psycopg2.ProgrammingError:
        host = "@"
    if not url.startswith(("postgresql://", "postgres://")) or "@" in host:
        raise SettingsError(
            "SERVING_POSTGRES_URL or SERVING_READER_URL: expected "
            "postgresql://user:password@host:port/database, "
            "with %40 for an @ in the password, found something else"
        ) from None
