"""What the load moves, and the one interface behind which a warehouse engine stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from ingestion.load.snowflake_cost import Cost, NoCost

# Snowflake's COPY takes lists of at most 1,000 files; the embedded engine keeps to the same.
MAX_FILES = 1000
# Stored bytes in one batch: bronze is compressed about fivefold, a batch must fit into memory.
MAX_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Listed:
    """A bronze object: its key and stored size in bytes."""

    file: str
    size: int


@dataclass(frozen=True)
class Added:
    """A data file of the lake, the snapshot that added it, its record count in the metadata."""

    file: str
    snapshot_id: int
    size: int
    records: int
    is_base: bool = False
    """One of the files that a first load begins with: those of the oldest snapshot there is.

    ``snapshot_id`` is that snapshot, whichever added them. The ledger names none for them: it has
    reached the snapshot only with the last of them.
    """


@dataclass(frozen=True)
class Described:
    """A bronze object as its key and metadata tell of it; ``records`` is what its maker counted."""

    listed: Listed
    topic: str
    generation: str
    partition: int
    records: int


@dataclass(frozen=True)
class LineFile:
    """A bronze object's lines; their number has been checked against its metadata."""

    listed: Listed
    topic: str
    generation: str
    partition: int
    lines: list[bytes]


@dataclass(frozen=True)
class TableFile:
    """A lake file's rows; timestamps are UTC without a zone."""

    added: Added
    rows: pa.Table


@dataclass(frozen=True)
class Ledger:
    """What a target has loaded of the lake: its files and snapshots."""

    files: frozenset[str]
    snapshots: frozenset[int]


@dataclass(frozen=True)
class Loaded:
    """What was written: rows into the raw table, refused lines into its rejects."""

    files: int = 0
    rows: int = 0
    rejected: int = 0

    def __add__(self, other: "Loaded") -> "Loaded":
        return Loaded(
            self.files + other.files, self.rows + other.rows, self.rejected + other.rejected
        )


class Warehouse(Protocol):
    """A warehouse engine as the load sees it; each load call is one transaction.

    It is given names and expected counts, not rows: an embedded engine reads the files itself, a
    remote one is told to COPY them from its stage.
    """

    def last_keys(self, target: str) -> dict[str, str]:
        """Return the last of ``target``'s bronze objects so far, by their folder."""
        ...

    def ledger(self, target: str) -> Ledger:
        """Return what ``target`` has loaded of the lake so far."""
        ...

    def cost(self) -> Cost | NoCost | None:
        """Estimate what has been used so far; None where nothing is billed."""
        ...

    def load_lines(self, target: str, files: Sequence[Listed]) -> Loaded:
        """Load bronze objects into ``target`` and the ledger, or nothing.

        Raises:
            LoadError: the rows of a file differ from the count in its metadata.
        """
        ...

    def load_rows(self, target: str, files: Sequence[Added], head: int | None) -> Loaded:
        """Load lake files into ``target`` and the ledger, or nothing.

        ``head`` is the snapshot that the target has reached with these files, None while more
        follow; the ledger remembers it even when no file came with it.

        Raises:
            LoadError: the rows of a file differ from the count in its metadata.
        """
        ...
