"""A target's ledger, store and table held against each other: counts and contents by file."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from ingestion.errors import LoadError
from ingestion.load.lake import lake_errors
from ingestion.load.model import MAX_FILES, Added
from ingestion.load.run import File, batches
from ingestion.verify.contents import Digest, Samples
from ingestion.verify.model import Inventory, Lane, Verified
from ingestion.verify.tables import Counted, Entry

# The store answers a small GET in a few milliseconds, most of it waiting.
_READERS = 8
Say = Callable[[str], None]


def compare(lane: Lane[File], entries: Mapping[str, Entry], sample: int, say: Say) -> Verified:
    """Compare a target, given its ledger's entries; ``sample`` rows are shown.

    Files are read in lists as the load's, and hashed one by one: what is held in memory is a list
    of files' names and sums.

    Raises:
        SnowflakeError: a question is refused; StoreError: the store refuses or does not answer.
    """
    started = time.monotonic()
    found = Verified(lane.target)
    try:
        with lake_errors():
            _Comparison(lane, entries, sample, say, found).run()
    except LoadError as error:  # the store contradicts itself, or the ledger as a whole
        found.differs("", "files of the store", "those of the ledger", error)
    found.seconds = time.monotonic() - started
    return found


class _Comparison(Generic[File]):
    def __init__(
        self,
        lane: Lane[File],
        entries: Mapping[str, Entry],
        sample: int,
        say: Say,
        found: Verified,
    ) -> None:
        self._lane: Lane[File] = lane
        self._entries = entries
        self._say = say
        self._found = found
        self._reached = {entry.snapshot_id for entry in entries.values()} - {None}
        self._shown = sample
        self._samples = Samples(sample)

    def run(self) -> None:
        inventory = self._lane.inventory(self._entries)
        counts = self._lane.counts()
        self._found.pending = inventory.pending
        self._found.rows = sum(counted.rows for counted in counts.values())
        self._found.rejected = sum(counted.refused for counted in counts.values())
        self._compare_ledger(inventory, counts)
        self._compare_files(inventory, counts)
        gone = [f for f in self._entries if f not in inventory.files and not _is_marker(f)]
        unknown = [f for f in inventory.merged if f.file not in counts]  # else told with its rows
        self._compare_gone(gone, inventory.merged if gone else unknown)
        self._found.samples = self._samples.texts()

    def _compare_ledger(self, inventory: Inventory[File], counts: Mapping[str, Counted]) -> None:
        differs = self._found.differs
        for file, entry in sorted(self._entries.items()):
            if entry.times != 1:
                differs(file, "entries in the ledger", 1, entry.times)
            rows = counts.get(file, Counted(0)).rows
            # Those of a file of the store are counted there too.
            if file not in inventory.files and rows != entry.rows:
                differs(file, "rows", f"{entry.rows} as in the ledger", rows)
        for file in sorted(counts.keys() - self._entries.keys()):
            differs(file, "entry in the ledger", "one", f"none, and {counts[file].rows} rows")

    def _compare_files(self, inventory: Inventory[File], counts: Mapping[str, Counted]) -> None:
        self._found.files = len(inventory.files)
        done = 0
        for files in batches(list(inventory.files.values())):
            for file in files:
                self._compare_entry(file, counts.get(file.file, Counted(0)))
            self._compare_contents([file for file in files if file.file in self._entries])
            done += len(files)
            self._say(f"{self._lane.target}: {done:,} of {len(inventory.files):,} files compared")

    def _compare_entry(self, file: File, counted: Counted) -> None:
        differs = self._found.differs
        entry = self._entries.get(file.file)
        if entry is None:
            if not counted.rows:  # else told with its rows
                differs(file.file, "entry in the ledger", "one, as later files have", "none")
            return
        if entry.bytes != file.size:
            differs(file.file, "bytes as when it was loaded", entry.bytes, file.size)
        if isinstance(file, Added) and counted.rows:
            self._compare_snapshot(file, entry, counted)

    def _compare_snapshot(self, file: Added, entry: Entry, counted: Counted) -> None:
        named = {counted.first_snapshot, counted.last_snapshot}
        if entry.snapshot_id is not None:
            is_right = named == {entry.snapshot_id} == {file.snapshot_id}
        else:
            # Of the files that a first load began with the ledger names none, and their rows the
            # oldest that there was then; it is reached with the last of them.
            is_right = len(named) == 1 and (named <= self._reached or not self._reached)
        if not is_right:
            of_ledger = entry.snapshot_id or "one of those"
            expected = f"{file.snapshot_id} of the lake, {of_ledger} in the ledger"
            found = ", ".join(sorted(map(str, named)))
            self._found.differs(file.file, "snapshot of its rows", expected, found)

    def _compare_contents(self, files: Sequence[File]) -> None:
        found = self._digests([file.file for file in files])
        for file, expected in zip(files, self._read(files), strict=True):
            if isinstance(expected, LoadError):
                self._found.differs(file.file, "the file", "as its metadata say", expected)
                continue
            there, booked = found.get(file.file, Digest()), self._entries[file.file].rows
            if there != expected:
                rows = self._differing(file)
                self._found.differs(file.file, "contents", expected, there, *rows)
            if booked != expected.rows:
                self._found.differs(file.file, "rows in the ledger", expected.rows, booked)

    def _compare_gone(self, gone: Sequence[str], merged: Sequence[File]) -> None:
        """Compare rows whose files were compacted, as a whole: which came from where is lost."""
        if not gone or not merged:
            for name in gone:
                self._found.differs(name, "the file in the store", "one", "none")
            for unknown in merged:
                self._found.differs(unknown.file, "entry in the ledger", "one", "none")
            return
        self._found.gone = len(gone)
        found = sum(self._digests(gone).values(), Digest())
        expected = Digest()
        for file, one in zip(merged, self._read(merged), strict=True):
            if isinstance(one, LoadError):
                self._found.differs(file.file, "the file", "as its metadata say", one)
            else:
                expected += one
        if found != expected:
            what = f"contents of {len(gone)} files, rewritten since as {len(merged)}"
            self._found.differs("", what, expected, found)

    def _digests(self, files: Sequence[str]) -> dict[str, Digest]:
        """Return what Snowflake has of files; a statement names at most 1,000."""
        found: dict[str, Digest] = {}
        for first in range(0, len(files), MAX_FILES):
            for file, text in self._lane.there(files[first : first + MAX_FILES]):
                one = Digest.of(text)
                self._samples.look(one, f"{file}: {text}")
                found[file] = found.get(file, Digest()) + one
        return found

    def _read(self, files: Sequence[File]) -> Iterator[Digest | LoadError]:
        with ThreadPoolExecutor(_READERS) as pool:
            yield from pool.map(self._read_one, files)

    def _read_one(self, file: File) -> Digest | LoadError:
        try:
            return sum(map(Digest.of, self._lane.here(file)), Digest())
        except LoadError as error:  # told with the file; the others are compared all the same
            return error

    def _differing(self, file: File) -> list[str]:
        """Return some rows that one side alone has."""
        expected = Counter(self._lane.here(file))
        found = Counter(text for _, text in self._lane.there([file.file]))
        told = [f"missing: {text}" for text in (expected - found).elements()]
        told += [f"not expected: {text}" for text in (found - expected).elements()]
        return told[: self._shown]


def _is_marker(file: str) -> bool:
    """Whether a ledger's entry is of a snapshot that came without files."""
    return file.startswith("#")
