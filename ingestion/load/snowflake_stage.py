"""What both lanes share: where files come from, the internal stage, what is staged of a list."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import LoadError
from ingestion.load import snowflake_sql as sql
from ingestion.load.model import Added, Described, LineFile, Listed, Loaded
from ingestion.load.snowflake_session import Session


@dataclass(frozen=True)
class Source:
    """Where bytes come from.

    ``stage``: Snowflake reads the buckets itself through its external stages, or the load sends it
    what is new to an internal one.
    """

    stage: Literal["internal", "external"]
    describe: Callable[[list[Listed]], list[Described]]
    read_lines: Callable[[list[Listed]], list[LineFile]]
    open_file: Callable[[Added], pa.NativeFile]


@dataclass(frozen=True)
class Staged:
    """A list in the temporary tables, counted.

    ``expected`` has the records of each file as its maker counted them, ``writes`` the statements
    that bring them into the raw tables.
    """

    batch: sql.Batch
    expected: Mapping[str, int]
    writes: Sequence[str]
    loaded: Loaded


class Incoming:
    """The internal stage: a folder for each target, emptied when the ledger has what was sent."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._used: set[str] = set()

    def send_table(self, target: str, name: str, rows: pa.Table) -> None:
        """Send rows as a Parquet file."""
        with self._folder(target) as folder:
            pq.write_table(rows, folder / name)

    def send_files(self, target: str, files: Iterable[tuple[str, pa.NativeFile]]) -> None:
        """Send files as they are, under the names given."""
        with self._folder(target) as folder:
            for name, file in files:
                with file, (folder / name).open("wb") as copy:
                    shutil.copyfileobj(file, copy)

    def clear(self, target: str) -> None:
        """Remove what was sent of a target."""
        if target in self._used:
            self._session.execute(sql.remove(sql.folder_of(target)))
            self._used.remove(target)

    @contextmanager
    def _folder(self, target: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="tapehouse-load-") as folder:
            yield Path(folder)
            self._used.add(target)
            self._session.execute(sql.put(f"{folder}/*", sql.folder_of(target)))


def compare(expected: Mapping[str, int], found: Mapping[str, int]) -> None:
    """Make sure that each file has the rows that its maker counted.

    Raises:
        LoadError: one has not.
    """
    for file, rows in expected.items():
        if found.get(file, 0) != rows:
            raise LoadError(f"{file}: expected {rows} rows, found {found.get(file, 0)}")


def refuse_differing(files: Sequence[tuple[str]]) -> None:
    """Refuse a list of whose files there are other rows than they have now.

    Raises:
        LoadError: there are such files.
    """
    if files:
        raise LoadError(
            f"{files[0][0]}: expected the rows that a load left in the raw table without a ledger "
            "entry, found others: modified"
        )
