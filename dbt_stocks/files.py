"""The folder of published gold: one read-only file per build, and ``current``, which names one."""

import os
from pathlib import Path

import duckdb

from dbt_stocks import books, catalog, views
from dbt_stocks.books import Build
from ingestion.errors import BuildError

CURRENT = "current"


def path_of(folder: Path, build_id: str) -> Path:
    """Return where a build's file is, or will be."""
    return folder / f"gold-{build_id}.duckdb"


def is_shown(folder: Path, build_id: str) -> bool:
    """Whether a build's file is there and ``current`` names it."""
    path, link = path_of(folder, build_id), folder / CURRENT
    return path.is_file() and link.is_symlink() and link.resolve() == path.resolve()


def write(db: duckdb.DuckDBPyConnection, folder: Path, schema: str, build: Build) -> Path:
    """Write the marts of a schema as a build's file, under its final name once it is whole.

    Raises:
        BuildError: the file does not hold what was written to it.
        duckdb.Error, OSError: it cannot be written; nothing of it is left.
    """
    path = path_of(folder, build.build_id)
    temporary = path.with_name(f".{path.name}.tmp")
    remove(temporary)
    try:
        _fill(db, temporary, schema, build)
        _check(db, temporary, schema, build.build_id)
        durable(temporary)
        temporary.chmod(0o444)
        temporary.replace(path)
    except (duckdb.Error, OSError, BuildError):
        remove(temporary)  # what is half written may be what fills the disk
        raise
    durable(folder)
    return path


def point(folder: Path, build_id: str) -> None:
    """Replace the symlink ``current``; a reader finds the old file or the new one, never none."""
    temporary = folder / f".{CURRENT}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(path_of(folder, build_id).name)
    temporary.replace(folder / CURRENT)
    durable(folder)


def prune(folder: Path, published: list[str]) -> None:
    """Keep the files of the last few published builds; a reader that has one open keeps its data.

    Files of withdrawn builds and of builds that were never committed go with them.
    """
    kept = {path_of(folder, build_id) for build_id in published[: books.KEEP]}
    for path in folder.glob("gold-*.duckdb"):
        if path not in kept:
            path.unlink()


def sweep(folder: Path) -> None:
    """Remove what killed commands had begun to write."""
    for path in folder.glob(".*.tmp*"):
        path.unlink()


def check_whole(path: Path, build_id: str) -> None:
    """Read a file's own record.

    Raises:
        BuildError: there is no such file, or it is not that build's.
    """
    if not path.is_file():
        raise BuildError(
            f"expected the build's file {path}, found none: only {books.KEEP} are kept"
        )
    with duckdb.connect(path, read_only=True) as db:
        found = db.execute("select build_id from ops.builds").fetchall()
    if found != [(build_id,)]:
        raise BuildError(f"{path}: expected the file of build {build_id}, found {found}")


def durable(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a database file and the log beside it, where they are."""
    for leftover in (path, _log(path)):
        leftover.unlink(missing_ok=True)


def _fill(db: duckdb.DuckDBPyConnection, path: Path, schema: str, build: Build) -> None:
    db.execute(f"attach '{catalog.quoted(path)}' as published")
    try:
        db.execute("create schema published.gold; create schema published.ops;")
        for mart in catalog.tables(db, schema):
            stamped = catalog.stamped(schema, mart, build.build_id)
            db.execute(f"create table published.gold.{mart} as {stamped}")
        build.record_in(db, "published.ops.builds")
        views.create(db, views.texts(db, schema), "published.gold")
        # Detaching would do it, and would not say when it fails: rows would stay in a log that no
        # reader gets.
        db.execute("checkpoint published")
    finally:
        db.execute("detach published")


def _check(db: duckdb.DuckDBPyConnection, path: Path, schema: str, build_id: str) -> None:
    log = _log(path)
    if log.exists():
        raise BuildError(f"{path}: expected every row in the file, found a log beside it")
    check_whole(path, build_id)
    with duckdb.connect(path, read_only=True) as written:
        found = catalog.row_counts(written, "gold")
    expected = catalog.row_counts(db, schema)
    if found != expected:
        raise BuildError(f"{path}: expected rows {expected}, found {found}")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
