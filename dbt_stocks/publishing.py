"""Gold in its two places: schema ``gold`` of the warehouse and one read-only file per build.

The warehouse's table ``ops.builds`` is the truth: a build is published from the commit of the
transaction that copies the candidate into ``gold`` and marks the build ``published``. The order is

1. write ``gold-<build id>.duckdb`` under a temporary name, look at it, fsync, rename: nobody points
   to it yet;
2. that transaction;
3. replace the symlink ``current``; 4. remove old files.

A kill before 2 leaves the old build in both places and an orphan file; a kill between 2 and 3
leaves readers on the old build, complete as it was. ``heal`` brings the second place up to the
first, at the start of the next command. Going back is 2 and 3 with an earlier build's file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from dbt_stocks import books, catalog, files, state, views
from dbt_stocks.books import Build, Outcome
from dbt_stocks.engine import CANDIDATE, GOLD, refill_candidate, shown
from ingestion.errors import BuildError
from ingestion.settings import WarehouseSettings

_DDL = (
    *(*books.DDL, state.DDL, books.MIGRATION),
    f"create schema if not exists {GOLD}",
    f"create schema if not exists {CANDIDATE}",
)


@dataclass(frozen=True)
class DuckDBWarehouse:
    """The warehouse file and the folder of published files; implements ``Warehouse``."""

    settings: WarehouseSettings

    def lock(self) -> Path:
        return self.settings.lock()

    def lock_timeout_s(self) -> float:
        return self.settings.lock_timeout_s

    def dbt_environment(self) -> dict[str, str]:
        return {"DBT_TARGET": "duckdb", "WAREHOUSE_PATH": str(self.settings.file())}

    @contextmanager
    def opened(self) -> Iterator["DuckDBGold"]:
        with open_gold(self.settings.file(), self.settings.published()) as gold:
            yield gold


@contextmanager
def open_gold(warehouse: Path, folder: Path) -> Iterator["DuckDBGold"]:
    """Open the warehouse for a gate command; the caller holds the project lock.

    Raises:
        BuildError: there is no warehouse, or the engine refuses to open, read or write it (a full
            disk is such a refusal).
    """
    if not warehouse.is_file():
        raise BuildError(f"expected a warehouse at {warehouse}, found none: run the load first")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with duckdb.connect(warehouse, config={"autoinstall_known_extensions": False}) as db:
            for statement in _DDL:
                db.execute(statement)
            yield DuckDBGold(db, folder)
    except duckdb.Error as error:
        raise BuildError(f"{warehouse}: {str(error).partition(chr(10))[0]}") from error


@dataclass(frozen=True)
class DuckDBGold:
    """The two places of gold: an open warehouse and the folder of published files.

    Implements ``Gold``. What DuckDB itself raises in the middle becomes a BuildError where the
    warehouse was opened.
    """

    db: duckdb.DuckDBPyConnection
    folder: Path

    def take(self, what: str) -> None:
        """Nothing to take: whoever has the file open has it alone."""

    def give_back(self) -> None:
        """Nothing to give back."""

    def publish(self, build_id: str, outcome: Outcome) -> None:
        build = books.finished(self.db, build_id, outcome)
        files.write(self.db, self.folder, CANDIDATE, build)
        self.commit(build)
        files.point(self.folder, build_id)
        files.prune(self.folder, books.published(self.db))

    def commit(self, build: Build) -> None:
        """Copy the candidate into schema gold and mark the build published: one transaction."""
        with catalog.transaction(self.db):
            marts = catalog.tables(self.db, CANDIDATE)
            rows = {mart: catalog.stamped(CANDIDATE, mart, build.build_id) for mart in marts}
            self._replace(rows, views.texts(self.db, CANDIDATE))
            build.record(self.db)
            kept = books.published(self.db)[: books.KEEP]
            state.keep(self.db, CANDIDATE, build.build_id, kept)

    def settle(self, build_id: str, reason: str, finished_at: datetime) -> bool:
        files.sweep(self.folder)
        if books.status(self.db, build_id) == "published":
            self.heal()
            return True
        # In one transaction: a build that has failed in the books is nobody's to heal any more.
        with catalog.transaction(self.db):
            books.fail(self.db, build_id, reason, finished_at)
            self._refill(shown(self.db))
        return False

    def rollback(self, to: str | None, at: datetime, why: str) -> tuple[str, str]:
        before, build = books.before(self.db, to)
        target = build.build_id
        path = files.path_of(self.folder, target)
        files.check_whole(path, target)
        self.db.execute(f"attach '{catalog.quoted(path)}' as earlier (read_only)")
        try:
            with catalog.transaction(self.db):
                marts = catalog.tables(self.db, GOLD, "earlier")
                rows = {mart: f"from earlier.{GOLD}.{mart}" for mart in marts}
                self._replace(rows, views.texts(self.db, GOLD, "earlier"))
                self._refill(target)
                books.show(self.db, target, books.way(before, target, at, why))
        finally:
            self.db.execute("detach earlier")
        files.point(self.folder, target)
        return before, target

    def heal(self) -> list[str]:
        said = []
        files.sweep(self.folder)
        # Both in one transaction: a second kill in between would leave a candidate of nobody.
        with catalog.transaction(self.db):
            killed = books.running(self.db)
            if killed:
                self._refill(shown(self.db))
                books.interrupt(self.db)
                said.append(books.healed(killed))
        newest = shown(self.db)
        if newest and not files.is_shown(self.folder, newest):
            said.append(f"build {newest} was committed and not shown: current points to it now")
            self._show(newest)
        return said

    def _show(self, build_id: str) -> None:
        if not files.path_of(self.folder, build_id).is_file():
            files.write(self.db, self.folder, GOLD, books.find(self.db, build_id))
        files.point(self.folder, build_id)

    def _replace(self, rows: dict[str, str], texts: dict[str, str]) -> None:
        """Put these tables and views in the place of all that schema gold has."""
        # Before the tables: one of them may have been a view.
        views.drop(self.db, GOLD)
        for gone in set(catalog.tables(self.db, GOLD)) - set(rows):
            self.db.execute(f"drop table {GOLD}.{gone}")
        for mart, select in rows.items():
            self.db.execute(f"create or replace table {GOLD}.{mart} as {select}")
        views.create(self.db, texts, GOLD)

    def _refill(self, build_id: str | None) -> None:
        refill_candidate(self.db, build_id, _refill)


def _refill(mart: str) -> list[str]:
    # Emptied and filled, never made: dbt gave it the constraints of its contract.
    return [
        f"delete from {CANDIDATE}.{mart}",  # noqa: S608 - names of the catalog
        f"insert into {CANDIDATE}.{mart} from {GOLD}.{mart}",
    ]
