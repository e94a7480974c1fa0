"""The two lanes: quotes from bronze objects, everything else from data files of the lake."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from ingestion.contracts.topics import QUOTES
from ingestion.errors import LoadError
from ingestion.load import lake
from ingestion.load.model import Added, Ledger, LineFile, Listed
from ingestion.load.snowflake_sql import rejects_of
from ingestion.verify import contents
from ingestion.verify.model import Inventory
from ingestion.verify.tables import Counted, Entry, Tables

_ROWS_AT_ONCE = 10_000


class Quotes:
    """Bronze lines and the raw table of documents; implements ``Lane``."""

    def __init__(
        self,
        target: str,
        tables: Tables,
        list_objects: Callable[[str], list[Listed]],
        read: Callable[[list[Listed]], list[LineFile]],
    ) -> None:
        self.target = target
        self._tables = tables
        self._list_objects = list_objects
        self._read = read

    def inventory(self, entries: Mapping[str, Entry]) -> Inventory[Listed]:
        last = {_folder(file): file for file in sorted(entries)}
        listed = self._list_objects(QUOTES)
        loaded = {f.file: f for f in listed if f.file <= last.get(_folder(f.file), "")}
        return Inventory(loaded, len(listed) - len(loaded))

    def here(self, file: Listed) -> Iterator[str]:
        [found] = self._read([file])
        for raw in found.lines:
            yield contents.line(raw, found.topic, found.generation, found.partition)

    def counts(self) -> dict[str, Counted]:
        found = self._tables.counts(self.target)
        for file, refused in self._tables.counts(rejects_of(self.target)).items():
            rows = found.get(file, Counted(0)).rows
            found[file] = Counted(rows + refused.rows, refused.rows)
        return found

    def there(self, files: Sequence[str]) -> Iterator[tuple[str, str]]:
        return self._tables.lines(self.target, files)


class Rows:
    """Data files of a lake table and its raw table; implements ``Lane``."""

    def __init__(
        self,
        target: str,
        tables: Tables,
        catalog: Catalog,
        name: str,
        read: Callable[[Added], pa.Table],
    ) -> None:
        self.target = target
        self._tables = tables
        self._catalog = catalog
        self._name = name
        self._read = read
        self._columns = tables.columns(target)

    def inventory(self, entries: Mapping[str, Entry]) -> Inventory[Added]:
        table = lake.open_table(self._catalog, self._name)
        if table is None:
            return Inventory({})
        snapshots = (entry.snapshot_id for entry in entries.values())
        reached = frozenset(one for one in snapshots if one is not None)
        news = lake.news(table, Ledger(frozenset(entries), reached))
        pending = {added.file for added in news.files}
        held = [one for one in _held(table, news.since) if one.file not in pending]
        return Inventory(
            {one.file: one for one in held if one.file in entries},
            len(pending),
            [one for one in held if one.file not in entries],
        )

    def here(self, file: Added) -> Iterator[str]:
        rows = self._read(file)
        if rows.num_rows != file.records:
            raise LoadError(
                f"{file.file}: expected {file.records} rows as in the lake's metadata, found "
                f"{rows.num_rows}"
            )
        unknown = sorted(set(rows.column_names) - set(self._columns))
        if unknown:
            raise LoadError(f"{file.file}: expected columns of {self.target}, found {unknown}")
        nothing = dict.fromkeys(self._columns)
        for batch in rows.to_batches(max_chunksize=_ROWS_AT_ONCE):
            for values in batch.to_pylist():
                yield contents.row(nothing | values)

    def counts(self) -> dict[str, Counted]:
        return self._tables.counts(self.target, with_snapshots=True)

    def there(self, files: Sequence[str]) -> Iterator[tuple[str, str]]:
        return self._tables.rows(self.target, self._columns, files)


def _held(table: Table, snapshot_id: int | None) -> Iterator[Added]:
    """Return the data files that a table had at a snapshot, each with the one that added it."""
    snapshot = None if snapshot_id is None else table.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot_id is None:
        return
    for manifest in snapshot.manifests(table.io):
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            data = entry.data_file
            # Never absent: what the entry does not say it has of its manifest.
            added_by = entry.snapshot_id or snapshot_id
            yield Added(data.file_path, added_by, data.file_size_in_bytes, data.record_count)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]
