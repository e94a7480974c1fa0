"""What both lanes share: where files come from, the internal stage, what is staged of a list."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.clock import Clock
from ingestion.errors import LoadError
from ingestion.load import snowflake_sql as sql
from ingestion.load.model import Added, Described, LineFile, Listed, Loaded
from ingestion.load.snowflake_session import Session

_KEPT = timedelta(days=1)


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

    ``expected`` has the records of each file as its maker counted them, ``writes`` gives the
    statements that bring them into the raw tables as that batch: its number is known when no other
    load can take it.
    """

    batch: sql.Batch
    expected: Mapping[str, int]
    writes: Callable[[sql.Batch], list[str]]
    loaded: Loaded


class Incoming:
    """The internal stage: a folder for each load and target, emptied when the ledger has it all.

    No load reads what another one sends. What a killed one has left goes a day later.
    """

    def __init__(self, session: Session, load: str, clock: Clock) -> None:
        self._session = session
        self._load = load
        self._clock = clock
        self._used: set[str] = set()

    def folder(self, target: str) -> str:
        """Return the folder of what is sent of a target."""
        return sql.folder_of(target, self._load)

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
            self._session.execute(sql.remove(self.folder(target)))
            self._used.remove(target)
            for folder in self._left_behind():
                self._session.execute(sql.remove(folder))

    def _left_behind(self) -> list[str]:
        """Return the folders in which nothing has come for a day."""
        newest: dict[str, datetime] = {}
        for file in self._session.show(sql.incoming_files()):
            # Behind the stage's name: a target's folder, a load's, and the file.
            folder = "/".join(str(file["name"]).split("/")[-3:-1])
            sent = parsedate_to_datetime(file["last_modified"])
            newest[folder] = max(sent, newest.get(folder, sent))
        limit = self._clock.now() - _KEPT
        return [folder for folder, sent in newest.items() if sent < limit]

    @contextmanager
    def _folder(self, target: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="tapehouse-load-") as folder:
            yield Path(folder)
            self._used.add(target)
            self._session.execute(sql.put(f"{folder}/*", self.folder(target)))


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
