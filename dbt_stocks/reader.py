"""How screens read gold: the published file, never the warehouse, and always one whole build."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from dbt_stocks.files import CURRENT
from ingestion.errors import BuildError

if TYPE_CHECKING:
    import pyarrow as pa

# A build may be replaced and its file removed between reading the link and opening what it names.
_TRIES = 10


class PinnedBuild:
    """One published build, for as long as it is held."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Read through a cursor on the build's file."""
        self._cursor = cursor

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a query and return its rows by column name."""
        self._cursor.execute(sql, list(parameters))
        names = [column[0] for column in self._cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]

    def batches(self, sql: str, rows: int) -> "pa.RecordBatchReader":
        """Run a query and return its rows as Arrow batches of at most ``rows``, made as asked."""
        return self._cursor.sql(sql).to_arrow_reader(rows)

    def build_id(self) -> str:
        """Return the build's id."""
        return str(self.query("select build_id from ops.builds")[0]["build_id"])


@dataclass
class _Opened:
    """A build's file, and how many are reading it; closing it would end their reading."""

    path: Path
    db: duckdb.DuckDBPyConnection
    readers: int = 0
    is_retired: bool = False

    def close_if_unused(self) -> None:
        if self.is_retired and not self.readers:
            self.db.close()


class GoldReader:
    """Reads the file behind ``current`` and follows it when a new build is published.

    It opens the file by its own name: DuckDB gives a process that has a path open the old file for
    that path, so opening ``current`` itself would never show a new build. Safe for use by several
    threads; a query that has begun ends on the build that it began on. Two queries may be answered
    by two builds: what has to fit together is asked for under ``pinned``.
    """

    def __init__(self, folder: Path) -> None:
        """Read gold from the folder of published files; the first query opens one."""
        self._folder = folder
        self._mutex = threading.Lock()
        self._opened: _Opened | None = None

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Run a query on the newest published build and return its rows by column name.

        Raises:
            BuildError: nothing has been published.
        """
        with self.pinned() as build:
            return build.query(sql, parameters)

    @contextmanager
    def pinned(self) -> Iterator[PinnedBuild]:
        """Give several queries one build, whatever is published meanwhile: a page of a screen.

        Raises:
            BuildError: nothing has been published.
        """
        with self._mutex:
            opened = self._newest()
            cursor = opened.db.cursor()
            opened.readers += 1
        try:
            yield PinnedBuild(cursor)
        finally:
            with self._mutex:
                cursor.close()
                opened.readers -= 1
                opened.close_if_unused()

    def build_id(self) -> str:
        """Return the id of the build that a query would read now.

        Raises:
            BuildError: nothing has been published.
        """
        with self.pinned() as build:
            return build.build_id()

    def close(self) -> None:
        """Close the file once nobody reads it; the next query opens it again."""
        with self._mutex:
            self._retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _newest(self) -> _Opened:
        for _ in range(_TRIES):
            path = self._target()
            if self._opened is not None and path == self._opened.path:
                return self._opened
            try:
                opened = _Opened(path, duckdb.connect(path, read_only=True))
            except duckdb.IOException:
                continue
            self._retire()
            self._opened = opened
            return opened
        raise BuildError(
            f"{self._folder / CURRENT}: expected a file that can be opened, found none"
        )

    def _retire(self) -> None:
        if self._opened is not None:
            self._opened.is_retired = True
            self._opened.close_if_unused()
            self._opened = None

    def _target(self) -> Path:
        try:
            return self._folder / (self._folder / CURRENT).readlink()
        except FileNotFoundError:
            raise BuildError(
                f"expected published gold in {self._folder}, found no build yet: "
                "run `python -m dbt_stocks build`"
            ) from None
