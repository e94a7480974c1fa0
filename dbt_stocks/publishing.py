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
from ingestion.errors import BuildError

CANDIDATE, GOLD = "gold_candidate", "gold"
_DDL = f"create schema if not exists {GOLD}; create schema if not exists {CANDIDATE};"


@dataclass(frozen=True)
class Gold:
    """The two places of gold: an open warehouse and the folder of published files."""

    db: duckdb.DuckDBPyConnection
    folder: Path


@contextmanager
def open_gold(warehouse: Path, folder: Path) -> Iterator[Gold]:
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
            db.execute(books.DDL + state.DDL + _DDL)
            yield Gold(db, folder)
    except duckdb.Error as error:
        raise BuildError(f"{warehouse}: {str(error).partition(chr(10))[0]}") from error


def publish(gold: Gold, build_id: str, outcome: Outcome) -> None:
    """Make the candidate gold, in both places.

    Raises:
        BuildError: the file is not what was written to it.
        duckdb.Error, OSError: something cannot be written; ``settle`` tells what came of it.
    """
    build = books.finished(gold.db, build_id, outcome)
    files.write(gold.db, gold.folder, CANDIDATE, build)
    commit(gold, build)
    files.point(gold.folder, build_id)
    files.prune(gold.folder, books.published(gold.db))


def commit(gold: Gold, build: Build) -> None:
    """Copy the candidate into schema gold and mark the build published: one transaction."""
    with catalog.transaction(gold.db):
        marts = catalog.tables(gold.db, CANDIDATE)
        rows = {mart: catalog.stamped(CANDIDATE, mart, build.build_id) for mart in marts}
        _replace_gold(gold.db, rows, views.texts(gold.db, CANDIDATE))
        build.record(gold.db)
        kept = books.published(gold.db)[: files.KEEP]
        state.keep(gold.db, CANDIDATE, build.build_id, kept)


def drop_strangers(gold: Gold, marts: set[str]) -> list[str]:
    """Drop from the candidate what is no mart, and so is tested by nobody; return the names."""
    with catalog.transaction(gold.db):
        found = [("view", name) for name, _ in catalog.views(gold.db, CANDIDATE)]
        found += [("table", name) for name in catalog.tables(gold.db, CANDIDATE)]
        strangers = [(kind, name) for kind, name in found if name not in marts]
        for kind, name in strangers:
            gold.db.execute(f'drop {kind} {CANDIDATE}."{name}"')
    return [name for _, name in strangers]


def settle(gold: Gold, build_id: str, reason: str, finished_at: datetime) -> bool:
    """Bring things to order after a build has failed, and return whether it is published.

    It is where only what follows the commit has failed, or where the engine reported a failure of
    a commit that it had already taken.
    """
    files.sweep(gold.folder)
    if books.status(gold.db, build_id) == "published":
        heal(gold)
        return True
    # In one transaction: a build that has failed in the books is nobody's to heal any more.
    with catalog.transaction(gold.db):
        books.fail(gold.db, build_id, reason, finished_at)
        _refill_candidate(gold.db, _shown(gold.db))
    return False


def rollback(gold: Gold, to: str | None, at: datetime, why: str) -> tuple[str, str]:
    """Show an earlier build again: the one before, or any whose file is still there.

    The candidate becomes that build too: increments go on from what readers see, and compute again
    what came in since. A build that was withdrawn may be shown again in the same way, as long as
    nothing else has been published.

    Returns: the build shown before, and the one shown now.

    Raises:
        BuildError: there is no such build, no file of it, or it is the one shown.
    """
    shown, *earlier = books.published(gold.db) or [""]
    if not shown or (to is None and not earlier):
        raise BuildError(f"expected a build before {shown or 'this one'}, found none published")
    target = books.find(gold.db, to or earlier[0]).build_id
    if target == shown:
        raise BuildError(f"expected another build than the one shown, found {target}")
    path = files.path_of(gold.folder, target)
    files.check_whole(path, target)
    gold.db.execute(f"attach '{catalog.quoted(path)}' as earlier (read_only)")
    try:
        with catalog.transaction(gold.db):
            marts = catalog.tables(gold.db, GOLD, "earlier")
            rows = {mart: f"from earlier.{GOLD}.{mart}" for mart in marts}
            _replace_gold(gold.db, rows, views.texts(gold.db, GOLD, "earlier"))
            _refill_candidate(gold.db, target)
            books.show(gold.db, target, f"went from {shown} to {target} at {at:%F %T}Z: {why}")
    finally:
        gold.db.execute("detach earlier")
    files.point(gold.folder, target)
    return shown, target


def heal(gold: Gold) -> list[str]:
    """Finish or undo what a killed command left, and say what was done."""
    said = []
    files.sweep(gold.folder)
    # Both in one transaction: a second kill in between would leave a candidate of nobody.
    with catalog.transaction(gold.db):
        killed = books.interrupt(gold.db)
        if killed:
            _refill_candidate(gold.db, _shown(gold.db))
            said.append(f"build {', '.join(killed)} was interrupted: candidate restored from gold")
    published = books.published(gold.db)
    if published and not files.is_shown(gold.folder, published[0]):
        said.append(f"build {published[0]} was committed and not shown: current points to it now")
        _show(gold, published[0])
    return said


def _show(gold: Gold, build_id: str) -> None:
    if not files.path_of(gold.folder, build_id).is_file():
        files.write(gold.db, gold.folder, GOLD, books.find(gold.db, build_id))
    files.point(gold.folder, build_id)


def _replace_gold(
    db: duckdb.DuckDBPyConnection, rows: dict[str, str], texts: dict[str, str]
) -> None:
    """Put these tables and views in the place of all that schema gold has."""
    # Before the tables: one of them may have been a view.
    views.drop(db, GOLD)
    for gone in set(catalog.tables(db, GOLD)) - set(rows):
        db.execute(f"drop table {GOLD}.{gone}")
    for mart, select in rows.items():
        db.execute(f"create or replace table {GOLD}.{mart} as {select}")
    views.create(db, texts, GOLD)


def _shown(db: duckdb.DuckDBPyConnection) -> str | None:
    return next(iter(books.published(db)), None)


def _refill_candidate(db: duckdb.DuckDBPyConnection, build_id: str | None) -> None:
    """Give the candidate gold's rows, which are a build's, and their state.

    A mart that cannot take them is dropped and built anew. A table is emptied and filled, never
    made: dbt gave it the constraints of its contract. A view of the candidate reads the candidate,
    and stays.
    """
    shown, filled = set(catalog.tables(db, GOLD)), []
    for mart in catalog.tables(db, CANDIDATE):
        wanted = catalog.columns(db, CANDIDATE, mart)
        if mart in shown and catalog.columns(db, GOLD, mart) == wanted:
            db.execute(f"delete from {CANDIDATE}.{mart}")  # noqa: S608
            db.execute(f"insert into {CANDIDATE}.{mart} from {GOLD}.{mart}")
            filled.append(mart)
        else:
            db.execute(f"drop table {CANDIDATE}.{mart}")
    state.restore(db, CANDIDATE, build_id, filled)
