"""Gold of Snowflake or PostgreSQL for screens: each published build, copied whole into a file.

A screen asks a dozen questions and wants one build to answer all of them, in milliseconds: so it
reads a file here too. A copy is shown when it is whole, by the same link as in `files.py`; what
is copied is one build, whatever is published meanwhile (`Source.copy`).
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import duckdb
from filelock import FileLock, Timeout

from dashboards import contract
from dashboards.contract import Table
from dbt_stocks import files
from dbt_stocks.books import Build
from dbt_stocks.reader import GoldReader, PinnedBuild
from ingestion.cli import one_line
from ingestion.errors import BuildError, TapehouseError

# A new build is to be seen within ten seconds of its publication, its copy included.
EVERY_S: Final = 3.0
# So long an engine may say nothing before its copy is no longer shown as what is published.
PATIENCE_S: Final = 60.0
SCHEMA: Final = "gold"
_END_S: Final = 5.0

_log = logging.getLogger(__name__)


class Source(Protocol):
    """An engine that gold is published in."""

    @property
    def name(self) -> str:
        """What tells it from others, without a secret: the name of a folder."""

    def build_id(self) -> str:
        """Return the build that is published now.

        Raises:
            BuildError: none is; TapehouseError: the engine refuses, or does not answer.
        """

    def copy(self, db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Build:
        """Fill tables of schema ``gold``, which are there and empty; return whose rows they are.

        Raises:
            BuildError: rows of two builds; TapehouseError: as `build_id`.
        """

    def close(self) -> None:
        """Log out."""


class MirroredGold:
    """The published build of a source, followed by a thread between `start` and `close`.

    Reads as `GoldReader` does, of which it has one. Several processes may share a folder.
    """

    def __init__(
        self,
        source: Source,
        folder: Path,
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Copy into a folder of the source's own below ``folder``; nothing is asked yet."""
        self._source = source
        self._folder = folder / source.name
        self._every_s, self._patience_s, self._monotonic = every_s, patience_s, monotonic
        self._reader = GoldReader(self._folder)
        self._heard_at = monotonic()
        self._problem = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Copy what is published, and follow it from now on.

        Raises:
            TapehouseError: that cannot be done: nothing is followed then.
        """
        self.refresh(wait_s=self._patience_s)
        self._thread = threading.Thread(target=self._follow, name="gold's mirror", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End following, and log out."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)  # it may wait for an engine; nothing else waits for it
        self._reader.close()
        self._source.close()

    @contextmanager
    def pinned(self) -> Iterator[PinnedBuild]:
        """Give several queries one build.

        Raises:
            BuildError: nothing is published, or the source has not answered for too long: what is
                here may be a build of long ago then.
        """
        silent_s = self._monotonic() - self._heard_at
        if silent_s > self._patience_s:
            raise BuildError(f"no answer for {silent_s:.0f} s: {self._problem or 'it takes long'}")
        with self._reader.pinned() as build:
            yield build

    def refresh(self, wait_s: float = 0.0) -> None:
        """Copy the published build, unless it is here.

        ``wait_s``: for another process that copies one.

        Raises:
            BuildError, TapehouseError: as the source, or another process has not ended its copy;
                the copy before stays.
        """
        build_id = self._source.build_id()
        if not files.is_shown(self._folder, build_id):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                with FileLock(self._folder / "copy.lock", timeout=wait_s):
                    if not files.is_shown(self._folder, build_id):
                        self._take(build_id)
            except Timeout:
                raise BuildError(f"another process copies build {build_id}") from None
            except (duckdb.Error, OSError) as error:
                raise BuildError(f"{self._folder}: {one_line(str(error))}") from error
        self._heard_at, self._problem = self._monotonic(), ""

    def _take(self, build_id: str) -> None:
        if files.path_of(self._folder, build_id).is_file():  # gone back to, or just copied
            files.check_whole(files.path_of(self._folder, build_id), build_id)
        else:
            build_id = self._copy()
        files.point(self._folder, build_id)
        files.prune(self._folder, [build_id])

    def _copy(self) -> str:
        files.sweep(self._folder)
        tables = contract.load().tables
        staging = self._folder / ".copy.tmp.duckdb"
        try:
            # What does not fit in memory goes to a folder that ends with this process.
            with (
                tempfile.TemporaryDirectory(prefix="tapehouse-gold-") as spill,
                duckdb.connect(staging, config={"temp_directory": spill}) as db,
            ):
                db.execute(f"create schema {SCHEMA}")
                for table in tables.values():
                    db.execute(_ddl(table))
                build = self._source.copy(db, tables)
                _check_builds(db, tables, build.build_id)
                files.write(db, self._folder, SCHEMA, build)
        finally:
            files.remove(staging)
        return build.build_id

    def _follow(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.refresh()
            except TapehouseError as error:
                self._tell(str(error))
            except Exception as error:
                if self._tell(f"{type(error).__name__}: {error}"):
                    _log.exception("gold cannot be copied")

    def _tell(self, problem: str) -> bool:
        """Keep why nothing is followed, and log it where it is new; return whether it was."""
        is_new, self._problem = problem != self._problem, problem
        if is_new:
            _log.warning("gold is not followed: %s", problem)
        return is_new


def _check_builds(
    db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table], build_id: str
) -> None:
    """Raise BuildError where rows say that they are another build's."""
    each = " union ".join(f"select build_id from {SCHEMA}.{name}" for name in tables)  # noqa: S608 - names of the contract
    found = {name for (name,) in db.execute(each).fetchall()}
    if others := sorted(map(str, found - {build_id})):
        raise BuildError(f"expected rows of build {build_id}, found some of {', '.join(others)}")


def _ddl(table: Table) -> str:
    columns = ", ".join(
        f'"{column.name}" {column.type_in("duckdb")}' for column in table.columns.values()
    )
    return f"create table {SCHEMA}.{table.name} ({columns})"
