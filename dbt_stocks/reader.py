"""How screens read gold: the published file, never the warehouse, and always one whole build."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb

from ingestion.errors import BuildError

CURRENT = "current"
# A build may be replaced and its file removed between reading the link and opening what it names.
_TRIES = 10


class GoldReader:
    """Reads the file behind ``current`` and follows it when a new build is published.

    It opens the file by its own name: DuckDB gives a process that has a path open the old file for
    that path, so opening ``current`` itself would never show a new build. Safe for use by several
    threads; a query that has begun ends on the build that it began on.
    """

    def __init__(self, folder: Path) -> None:
        """Read gold from the folder of published files; the first query opens one."""
        self._folder = folder
        self._mutex = threading.Lock()
        self._path: Path | None = None
        self._db: duckdb.DuckDBPyConnection | None = None

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a query on the newest published build and return its rows by column name.

        Raises:
            BuildError: nothing has been published.
        """
        with self._cursor() as cursor:
            cursor.execute(sql, list(parameters))
            names = [column[0] for column in cursor.description or []]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def build_id(self) -> str:
        """Return the id of the build that a query would read now.

        Raises:
            BuildError: nothing has been published.
        """
        return str(self.query("select build_id from ops.builds")[0]["build_id"])

    def close(self) -> None:
        """Close the file; the next query opens it again."""
        with self._mutex:
            if self._db is not None:
                self._db.close()
            self._db = self._path = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._mutex:
            return self._newest().cursor()

    def _newest(self) -> duckdb.DuckDBPyConnection:
        for _ in range(_TRIES):
            path = self._target()
            if self._db is not None and path == self._path:
                return self._db
            try:
                opened = duckdb.connect(path, read_only=True)
            except duckdb.IOException:
                continue
            if self._db is not None:
                self._db.close()
            self._path, self._db = path, opened
            return opened
        raise BuildError(
            f"{self._folder / CURRENT}: expected a file that can be opened, found none"
        )

    def _target(self) -> Path:
        try:
            return self._folder / (self._folder / CURRENT).readlink()
        except FileNotFoundError:
            raise BuildError(
                f"expected published gold in {self._folder}, found no build yet: "
                "run `python -m dbt_stocks build`"
            ) from None
