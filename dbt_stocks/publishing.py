"""Gold in its two places: schema ``gold`` of the warehouse and one read-only file per build.

The warehouse's table ``ops.builds`` is the truth: a build is published from the commit of the
transaction that copies the candidate into ``gold`` and marks the build ``published``. The order is

1. write ``gold-<build id>.duckdb`` under a temporary name, fsync, rename: nobody points to it yet;
2. that transaction;
3. replace the symlink ``current``; 4. remove old files.

A kill before 2 leaves the old build in both places and an orphan file; a kill between 2 and 3
leaves readers on the old build, complete as it was. ``heal`` brings the second place up to the
first, at the start of the next command.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from dbt_stocks import views
from ingestion.errors import BuildError

KEEP = 5
CURRENT = "current"
# Names in the SQL below are schemas of ours, tables of the catalog and build ids of this shape.
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
_DDL = """
create schema if not exists ops;
create schema if not exists gold;
create schema if not exists gold_candidate;
create table if not exists ops.builds (
    build_id varchar not null primary key,
    status varchar not null,
    reason varchar,
    as_of timestamp,
    started_at timestamp not null,
    finished_at timestamp
);
"""


@dataclass(frozen=True)
class Gold:
    """The two places of gold: an open warehouse and the folder of published files."""

    db: duckdb.DuckDBPyConnection
    folder: Path


@contextmanager
def open_gold(warehouse: Path, folder: Path) -> Iterator[Gold]:
    """Open the warehouse for a gate command; the caller holds the project lock.

    Raises:
        BuildError: there is no warehouse, or it cannot be opened.
    """
    if not warehouse.is_file():
        raise BuildError(f"expected a warehouse at {warehouse}, found none: run the load first")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        db = duckdb.connect(warehouse, config={"autoinstall_known_extensions": False})
    except duckdb.Error as error:
        raise BuildError(f"{warehouse}: {str(error).partition(chr(10))[0]}") from error
    try:
        db.execute(_DDL)
        yield Gold(db, folder)
    finally:
        db.close()


def begin(gold: Gold, build_id: str, started_at: datetime) -> None:
    """Record that a build has started.

    Raises:
        BuildError: the id is malformed, or that build has been published already.
    """
    if not _BUILD_ID.fullmatch(build_id):
        raise BuildError(f"expected a build id of letters, digits, - _ ., found {build_id!r}")
    known = _status(gold, build_id)
    if known == "published":
        raise BuildError(f"expected a new build id, found {build_id} published already")
    gold.db.execute(
        "insert or replace into ops.builds values (?, 'running', null, null, ?, null)",
        [build_id, started_at.replace(tzinfo=None)],
    )


def fail(gold: Gold, build_id: str, reason: str, finished_at: datetime) -> None:
    """Record that a build has failed, and put the candidate back to what gold shows."""
    gold.db.execute(
        "update ops.builds set status = 'failed', reason = ?, finished_at = ? where build_id = ?",
        [reason, finished_at.replace(tzinfo=None), build_id],
    )
    restore_candidate(gold)


def publish(gold: Gold, build_id: str, as_of: datetime | None, finished_at: datetime) -> Path:
    """Make the candidate gold, in both places, and return the file that ``current`` names."""
    row = [build_id, as_of, _started(gold, build_id), finished_at.replace(tzinfo=None)]
    path = write_file(gold, "gold_candidate", row)
    commit(gold, row)
    point(gold.folder, path)
    prune(gold)
    return path


def write_file(gold: Gold, schema: str, row: Sequence[object]) -> Path:
    """Write a build's file under its final name; it is whole, or not there."""
    build_id = str(row[0])
    path = _file(gold.folder, build_id)
    temporary = path.with_name(f".{path.name}.tmp")
    for leftover in (temporary, temporary.with_name(f"{temporary.name}.wal")):
        leftover.unlink(missing_ok=True)
    gold.db.execute(f"attach '{str(temporary).replace(chr(39), chr(39) * 2)}' as published")
    try:
        gold.db.execute("create schema published.gold; create schema published.ops;")
        for mart in _tables(gold, schema):
            gold.db.execute(
                f"create table published.gold.{mart} as {_stamped(schema, mart, build_id)}"
            )
        gold.db.execute("create table published.ops.builds as from ops.builds limit 0")
        gold.db.execute(f"insert into published.ops.builds {_PUBLISHED_ROW}", row)
        views.create(gold.db, views.texts(gold.db, schema), "published.gold")
    finally:
        gold.db.execute("detach published")
    _durable(temporary)
    temporary.chmod(0o444)
    temporary.replace(path)
    _durable(gold.folder)
    return path


def commit(gold: Gold, row: Sequence[object]) -> None:
    """Copy the candidate into schema gold and mark the build published: one transaction."""
    build_id = str(row[0])
    marts = _tables(gold, "gold_candidate")
    with _transaction(gold.db):
        for mart in marts:
            gold.db.execute(
                f"create or replace table gold.{mart} as "
                f"{_stamped('gold_candidate', mart, build_id)}"
            )
        for gone in set(_tables(gold, "gold")) - set(marts):
            gold.db.execute(f"drop table gold.{gone}")
        views.create(gold.db, views.texts(gold.db, "gold_candidate"), "gold")
        gold.db.execute(f"insert or replace into ops.builds {_PUBLISHED_ROW}", row)


def point(folder: Path, path: Path) -> None:
    """Replace the symlink ``current``; a reader finds the old file or the new one, never none."""
    temporary = folder / f".{CURRENT}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path.name)
    temporary.replace(folder / CURRENT)
    _durable(folder)


def prune(gold: Gold) -> None:
    """Keep the last few published files; a reader that has one open keeps its data."""
    kept = {_file(gold.folder, build_id) for build_id in _published(gold)[:KEEP]}
    for path in gold.folder.glob("gold-*.duckdb"):
        if path not in kept:
            path.unlink()
    for path in gold.folder.glob(".*.tmp*"):
        path.unlink()


def heal(gold: Gold) -> list[str]:
    """Finish or undo what a killed command left, and say what was done."""
    said = []
    running = [
        row[0]
        for row in gold.db.execute(
            "select build_id from ops.builds where status = 'running'"
        ).fetchall()
    ]
    if running:
        restore_candidate(gold)
        gold.db.execute("update ops.builds set status = 'interrupted' where status = 'running'")
        said.append(f"build {', '.join(running)} was interrupted: candidate restored from gold")
    published = _published(gold)
    if published and _needs_file(gold.folder, published[0]):
        said.append(f"build {published[0]} was committed and not shown: current points to it now")
        _show(gold, published[0])
    return said


def restore_candidate(gold: Gold) -> None:
    """Make the candidate's marts what gold's are, so that the next increment starts from there."""
    shown = set(_tables(gold, "gold"))
    with _transaction(gold.db):
        for mart in _tables(gold, "gold_candidate"):
            if mart in shown and _columns(gold, "gold", mart) == _columns(
                gold, "gold_candidate", mart
            ):
                # Not recreated: the table keeps the constraints of its contract.
                gold.db.execute(f"delete from gold_candidate.{mart}")  # noqa: S608
                gold.db.execute(f"insert into gold_candidate.{mart} select * from gold.{mart}")  # noqa: S608
            else:
                gold.db.execute(f"drop table gold_candidate.{mart}")
        for mart in shown - set(_tables(gold, "gold_candidate")):
            gold.db.execute(f"create table gold_candidate.{mart} as select * from gold.{mart}")  # noqa: S608


def row_counts(gold: Gold) -> dict[str, int]:
    """Return the rows of every mart in schema gold."""
    counts = {}
    for mart in _tables(gold, "gold"):
        [(rows,)] = gold.db.execute(f"select count(*) from gold.{mart}").fetchall()  # noqa: S608
        counts[mart] = int(rows)
    return counts


_PUBLISHED_ROW = (
    "by name select ? as build_id, 'published' as status, ?::timestamp as as_of, "
    "?::timestamp as started_at, ?::timestamp as finished_at"
)


def _show(gold: Gold, build_id: str) -> None:
    path = _file(gold.folder, build_id)
    if not path.is_file():
        row = gold.db.execute(
            "select build_id, as_of, started_at, finished_at from ops.builds where build_id = ?",
            [build_id],
        ).fetchall()
        path = write_file(gold, "gold", row[0])
    point(gold.folder, path)
    prune(gold)


def _needs_file(folder: Path, build_id: str) -> bool:
    path = _file(folder, build_id)
    current = folder / CURRENT
    return not (path.is_file() and current.is_symlink() and current.resolve() == path.resolve())


def _stamped(schema: str, mart: str, build_id: str) -> str:
    """Give every row the publishing build's id: rows that an increment left alone belong to it."""
    return f"select * replace ('{build_id}' as build_id) from {schema}.{mart}"  # noqa: S608


def _file(folder: Path, build_id: str) -> Path:
    return folder / f"gold-{build_id}.duckdb"


def _published(gold: Gold) -> list[str]:
    rows = gold.db.execute(
        "select build_id from ops.builds where status = 'published' order by finished_at desc"
    ).fetchall()
    return [row[0] for row in rows]


def _status(gold: Gold, build_id: str) -> str | None:
    rows = gold.db.execute(
        "select status from ops.builds where build_id = ?", [build_id]
    ).fetchall()
    return str(rows[0][0]) if rows else None


def _started(gold: Gold, build_id: str) -> datetime:
    rows = gold.db.execute(
        "select started_at from ops.builds where build_id = ?", [build_id]
    ).fetchall()
    if not rows:
        raise BuildError(f"expected build {build_id} in ops.builds, found no such build")
    found: datetime = rows[0][0]
    return found


def _tables(gold: Gold, schema: str) -> list[str]:
    rows = gold.db.execute(
        "select table_name from duckdb_tables() "
        "where schema_name = ? and database_name = current_database() order by table_name",
        [schema],
    ).fetchall()
    # dbt names what it is about to put in a model's place so; a killed run leaves them behind.
    return [row[0] for row in rows if not row[0].endswith(("__dbt_tmp", "__dbt_backup"))]


def _columns(gold: Gold, schema: str, table: str) -> list[tuple[str, str]]:
    return gold.db.execute(
        "select column_name, data_type from duckdb_columns() where schema_name = ? "
        "and table_name = ? and database_name = current_database() order by column_index",
        [schema, table],
    ).fetchall()


@contextmanager
def _transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    db.execute("begin")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def _durable(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
