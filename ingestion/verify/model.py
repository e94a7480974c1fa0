"""What is compared, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Protocol

from ingestion.load.run import File
from ingestion.verify.tables import Counted, Entry


@dataclass(frozen=True)
class Inventory(Generic[File]):
    """What the store has of a target.

    ``files`` the ledger should name, ``pending`` ones are not loaded yet. ``merged`` hold the rows
    of loaded files that were compacted since and are gone.
    """

    files: Mapping[str, File]
    pending: int = 0
    merged: Sequence[File] = ()


class Lane(Protocol[File]):
    """A way of a target's rows: what its storage has, what Snowflake has, in the same texts."""

    target: str

    def inventory(self, entries: Mapping[str, Entry]) -> Inventory[File]:
        """Return the store's files, given the ledger's.

        Raises:
            LoadError: the store contradicts itself or the ledger as a whole.
        """
        ...

    def here(self, file: File) -> Iterator[str]:
        """Return the rows of a file of the store.

        Raises:
            LoadError: the file contradicts its own metadata.
        """
        ...

    def counts(self) -> dict[str, Counted]:
        """Return how many rows of each file Snowflake has, refused lines included."""
        ...

    def there(self, files: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Return file and text of each row that Snowflake has of these files."""
        ...


@dataclass(frozen=True)
class Difference:
    """Something that is not as it should be, of a file or, without one, of a whole target.

    ``rows`` are some that differ, each behind ``missing`` or ``not expected``.
    """

    target: str
    file: str
    what: str
    expected: str
    found: str
    rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        of = f"{self.target}: {self.file}" if self.file else self.target
        return f"{of}: {self.what}: expected {self.expected}, found {self.found}"


@dataclass
class Verified:
    """What was compared of a target: files and rows, and what differs.

    ``pending`` files are in the store and not loaded yet; the rows of ``gone`` ones were compared
    as a whole with those of the files that took them in.
    """

    target: str
    files: int = 0
    rows: int = 0
    rejected: int = 0
    pending: int = 0
    gone: int = 0
    seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)

    def differs(self, file: str, what: str, expected: object, found: object, *rows: str) -> None:
        """Note a difference."""
        one = Difference(self.target, file, what, str(expected), str(found), rows)
        self.differences.append(one)

    def report(self) -> dict[str, Any]:
        """Return it for machines."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}
