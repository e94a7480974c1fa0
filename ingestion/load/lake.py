"""Data files that the lake's snapshots added since the last one loaded, and their rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.manifest import DataFile, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ingestion.errors import LoadError, StoreUnavailableError
from ingestion.load.model import Added, Ledger, TableFile
from ingestion.settings import LakeSettings, StoreSettings

# The name is part of every row of the SQL catalog: Spark and this reader must say the same.
CATALOG = "lake"


@dataclass(frozen=True)
class News:
    """Files of a table beyond the ledger, oldest snapshot first, and the snapshot they lead to.

    ``head`` is None where the ledger has it already. ``since`` is the oldest snapshot that was
    looked at: until all is loaded, the next look needs it and all that follow.
    """

    files: list[Added]
    head: int | None
    since: int | None


def open_catalog(lake: LakeSettings, store: StoreSettings) -> Catalog:
    """Open the SQL catalog with the loader's identity.

    Raises:
        LoadError: the catalog is not there, or does not answer.
    """
    _require_file(lake.uri())
    key, secret = store.keys("loader")
    with lake_errors():
        return load_catalog(
            CATALOG,
            type="sql",
            uri=lake.uri(),
            **{
                "s3.endpoint": store.url(),
                "s3.region": store.region,
                "s3.access-key-id": key,
                "s3.secret-access-key": secret,
            },
        )


def filesystem(store: StoreSettings) -> pyarrow.fs.FileSystem:
    """Return the object store as Arrow reads it, with the loader's identity."""
    key, secret = store.keys("loader")
    scheme, _, host = store.url().partition("://")
    return pyarrow.fs.S3FileSystem(
        access_key=key,
        secret_key=secret,
        endpoint_override=host,
        scheme="https" if scheme == "https" else "http",
        region=store.region,
        connect_timeout=3,
        request_timeout=30,
    )


@contextmanager
def lake_errors() -> Iterator[None]:
    """Turn what the catalog and the file system raise into our errors, one line each."""
    try:
        yield
    except OperationalError as error:  # no connection, or a catalog that another one writes
        text = f"the lake's catalog does not answer: {_first_line(error)}"
        raise StoreUnavailableError(text) from error
    except SQLAlchemyError as error:
        raise LoadError(f"the lake's catalog refuses: {_first_line(error)}") from error
    except OSError as error:
        raise StoreUnavailableError(f"the lake's files: {_first_line(error)}") from error


def open_table(catalog: Catalog, name: str) -> Table | None:
    """Return a table of the lake, or None while no job has created it."""
    try:
        return catalog.load_table(name)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def news(table: Table, ledger: Ledger) -> News:
    """Return what ``table`` holds beyond the ledger.

    The walk goes from the head of ``main`` back to the newest snapshot in the ledger, that one
    included: a batch may have ended inside it. ``replace`` snapshots rewrite rows that are known.
    A first load walks to the oldest snapshot there is, and begins with all that the table held
    then: what had added it may have expired, and been rewritten.

    Raises:
        LoadError: the last loaded snapshot is no ancestor of the head, rows were rewritten, or a
            first load was interrupted and its files are gone.
    """
    head = table.current_snapshot()
    if head is None:
        return News([], None, None)
    walked = _unseen(table, head, ledger)
    oldest = walked[-1]
    found = _added(table, oldest) if ledger.snapshots else _base(table, oldest, ledger)
    found += [added for snapshot in reversed(walked[:-1]) for added in _added(table, snapshot)]
    files = [added for added in found if added.file not in ledger.files]
    is_known = head.snapshot_id in ledger.snapshots
    return News(files, None if is_known else head.snapshot_id, oldest.snapshot_id)


def read(files: pyarrow.fs.FileSystem, added: Added) -> TableFile:
    """Read a data file whole; timestamps come out in UTC without a zone, as the warehouse's."""
    path = added.file.partition("://")[2]
    rows = pq.read_table(path, filesystem=files, partitioning=None)
    return TableFile(added, _naive_utc(rows))


def open_file(files: pyarrow.fs.FileSystem, added: Added) -> pa.NativeFile:
    """Open a data file for its bytes.

    Raises:
        LoadError: it is not of the size that the lake's metadata says.
    """
    found = files.open_input_file(added.file.partition("://")[2])
    if found.size() != added.size:
        raise LoadError(
            f"{added.file}: expected {added.size} bytes as in the lake's metadata, found "
            f"{found.size()}: modified"
        )
    return found


def _unseen(table: Table, head: Snapshot, ledger: Ledger) -> list[Snapshot]:
    unseen: list[Snapshot] = []
    current: Snapshot | None = head
    while current is not None:
        unseen.append(current)
        if current.snapshot_id in ledger.snapshots:
            return unseen
        parent = current.parent_snapshot_id
        current = table.snapshot_by_id(parent) if parent is not None else None
    if ledger.snapshots:
        raise LoadError(
            f"{'.'.join(table.name())}: expected the last loaded snapshot among the ancestors of "
            f"{head.snapshot_id}, found it expired or on another branch"
        )
    return unseen


def _added(table: Table, snapshot: Snapshot) -> list[Added]:
    operation = snapshot.summary.operation if snapshot.summary else Operation.APPEND
    if operation is Operation.REPLACE:
        return []
    if operation is not Operation.APPEND:
        raise LoadError(
            f"{'.'.join(table.name())}: expected appended rows only, found snapshot "
            f"{snapshot.snapshot_id} with operation {operation.value!r}"
        )
    return [_of(data, snapshot) for data in _data_files(table, snapshot)]


def _base(table: Table, snapshot: Snapshot, ledger: Ledger) -> list[Added]:
    """Return all that the table held at a snapshot, whoever added it.

    A load that was interrupted among these files goes on with the others of the same snapshot.
    """
    files = [
        replace(_of(entry.data_file, snapshot), is_base=True)
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]
    if gone := ledger.files - {added.file for added in files}:
        raise LoadError(
            f"{'.'.join(table.name())}: a first load was interrupted and {len(gone)} of its files "
            f"are no longer in snapshot {snapshot.snapshot_id}: empty the target and its ledger"
        )
    return files


def _data_files(table: Table, snapshot: Snapshot) -> Iterator[DataFile]:
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id:
            continue
        for entry in manifest.fetch_manifest_entry(table.io):
            if entry.status == ManifestEntryStatus.ADDED:
                yield entry.data_file


def _of(data: DataFile, snapshot: Snapshot) -> Added:
    return Added(data.file_path, snapshot.snapshot_id, data.file_size_in_bytes, data.record_count)


def _naive_utc(rows: pa.Table) -> pa.Table:
    fields = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema([pa.field(field.name, field.type) for field in fields]))


def _require_file(uri: str) -> None:
    url = make_url(uri)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise LoadError(
            f"expected the lake's catalog at {url.database}, found no file: run "
            "`python -m spark_jobs run compact daily-metrics window-metrics` first"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
