"""Published gold as Parquet files: one folder per build, and ``current``, which names one."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
from filelock import FileLock, Timeout

from dbt_stocks import catalog
from dbt_stocks.files import CURRENT, durable
from dbt_stocks.reader import GoldReader, PinnedBuild
from ingestion.errors import BuildError, WarehouseLockedError

# The build before may still be read while this one is written.
KEEP: Final = 2
_LOCK: Final = ".lock"
_LOCK_TIMEOUT_S: Final = 600.0
_MARTS: Final = """
select table_name as name from duckdb_tables() where schema_name = 'gold'
union all
select view_name as name from duckdb_views() where schema_name = 'gold'
order by name
"""


@dataclass
class Export:
    """A build's files; ``rows`` by mart."""

    build_id: str
    folder: str
    rows: dict[str, int] = field(default_factory=dict)
    bytes: int = 0


def export(published: Path, to: Path, say: Callable[[str], None]) -> Export:
    """Write every mart of the newest published build, tables and views; return what there is.

    A build that is there already is not written again. Whoever follows ``current`` finds a whole
    build, this one or the one before.

    Raises:
        BuildError: nothing has been published, or a file does not hold what was written to it.
        WarehouseLockedError: another export to the folder takes too long.
        OSError: the folder cannot be written; nothing of the build is left.
    """
    with GoldReader(published) as reader, reader.pinned() as build:
        build_id = build.build_id()
        folder = to / f"gold-{build_id}"
        marts = [str(row["name"]) for row in build.query(_MARTS)]
        to.mkdir(parents=True, exist_ok=True)
        with _alone(to):
            if not folder.is_dir():
                _write(build, marts, folder, say)
            found = _found(build_id, marts, folder)
            _point(to, folder)
            _prune(to, folder)
    return found


@contextmanager
def _alone(to: Path) -> Iterator[None]:
    lock = FileLock(to / _LOCK, timeout=_LOCK_TIMEOUT_S)
    try:
        lock.acquire()
    except Timeout:
        text = f"{to}: another export is at work for more than {_LOCK_TIMEOUT_S:.0f} s"
        raise WarehouseLockedError(text) from None
    try:
        yield
    finally:
        lock.release()


def _write(
    build: PinnedBuild, marts: Sequence[str], folder: Path, say: Callable[[str], None]
) -> None:
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        for mart in marts:
            _copy(build, mart, temporary / f"{mart}.parquet")
            say(f"{mart} written")
        durable(temporary)
    except (duckdb.Error, OSError, BuildError) as error:
        shutil.rmtree(temporary)
        if isinstance(error, duckdb.Error):
            raise BuildError(f"{folder}: {error}") from error
        raise
    temporary.replace(folder)
    durable(folder.parent)


def _copy(build: PinnedBuild, mart: str, path: Path) -> None:
    target = f"'{catalog.quoted(path)}' (format parquet, compression zstd)"
    build.query(f'copy gold."{mart}" to {target}')
    [rows] = build.query(
        f'select (select count(*) from gold."{mart}") as expected, '  # noqa: S608 - a name of the catalog
        "(select count(*) from read_parquet(?)) as found",
        [str(path)],
    )
    if rows["found"] != rows["expected"]:
        raise BuildError(f"{path}: expected {rows['expected']} rows, found {rows['found']}")
    durable(path)


def _point(to: Path, folder: Path) -> None:
    temporary = to / f".{CURRENT}.tmp"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(to / CURRENT)


def _prune(to: Path, shown: Path) -> None:
    """Remove older builds' folders, and what killed exports had begun."""
    others = sorted((one for one in to.glob("gold-*") if one != shown), reverse=True)
    for folder in [*others[KEEP - 1 :], *to.glob(".gold-*.tmp")]:
        shutil.rmtree(folder)


def _found(build_id: str, marts: Sequence[str], folder: Path) -> Export:
    files = sorted(folder.glob("*.parquet"))
    if [one.stem for one in files] != sorted(marts):
        raise BuildError(
            f"{folder}: expected files of {', '.join(marts)}, found {len(files)}; remove the folder"
        )
    with duckdb.connect() as db:
        rows = {
            one.stem: int(
                db.execute("select count(*) from read_parquet(?)", [str(one)]).fetchall()[0][0]
            )
            for one in files
        }
    return Export(build_id, str(folder), rows, sum(one.stat().st_size for one in files))
