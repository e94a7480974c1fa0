"""Where Superset finds gold: asked for each query, so that a new build is seen at once.

The database in the bundle has no address of its own. DuckDB gives a process that has a path open
the old file for that path: the published file is opened by its own name, never by ``current``.
"""

from pathlib import Path
from typing import Any

from sqlalchemy.engine.url import URL, make_url

CURRENT = "current"
# What the metadata holds: enough for Superset to know the dialect.
PLACEHOLDERS = {"duckdb": "duckdb:///gold", "postgresql": "postgresql+psycopg2://gold/gold"}


class Gold:
    """The published file in a folder, or the PostgreSQL that gold is served to."""

    def __init__(self, folder: Path, url: str | None) -> None:
        """Read gold at a URL, or without one in the folder of published files."""
        self._folder, self._url = folder, url

    def placeholder(self) -> str:
        """Return the address to put into Superset's metadata."""
        return PLACEHOLDERS["postgresql" if self._url else "duckdb"]

    def connection(
        self, url: URL, engine: dict[str, Any], *_who_and_why: object
    ) -> tuple[URL, dict[str, Any]]:
        """Return a connection's real address and options: Superset's ``DB_CONNECTION_MUTATOR``.

        Raises:
            FileNotFoundError: nothing has been published.
        """
        if str(url) not in PLACEHOLDERS.values():
            return url, engine  # somebody's own database
        if self._url:
            address = make_url(self._url)
            return address, engine | {"connect_args": _in_utc(address)}
        return url.set(database=str(self.file())), engine | {"connect_args": _read_only()}

    def file(self) -> Path:
        """Return the file of the build that is published now."""
        link = self._folder / CURRENT
        if not link.is_symlink():
            raise FileNotFoundError(f"expected published gold in {self._folder}, found no build")
        return self._folder / link.readlink()


def _in_utc(address: URL) -> dict[str, Any]:
    # Datasets compare and show times that have a zone in PostgreSQL and none in DuckDB.
    asked = address.normalized_query.get("options", ())
    return {"options": " ".join((*asked, "-c timezone=UTC"))}


def _read_only() -> dict[str, Any]:
    # SQL Lab could read any file of this machine otherwise.
    config = {"enable_external_access": "false", "lock_configuration": "true"}
    return {"read_only": True, "config": config}
