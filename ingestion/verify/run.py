"""Which targets are compared, and with which storage."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.fs
from pyiceberg.catalog import Catalog

import ingestion.snowflake  # noqa: F401 - the first to import the connector: a warning is kept away
from ingestion.errors import LoadError
from ingestion.load import lake
from ingestion.load.bronze import Bronze, store_client
from ingestion.load.model import Added, LineFile, Listed
from ingestion.load.run import LAKE_TARGETS, QUOTES_TARGET
from ingestion.settings import LakeSettings, SnowflakeSettings, StoreSettings
from ingestion.snowflake.connection import connection
from ingestion.verify.compare import Say, compare
from ingestion.verify.lanes import Quotes, Rows
from ingestion.verify.model import Verified
from ingestion.verify.tables import Tables

_LAKE_TABLES = {target: name for name, target in LAKE_TARGETS.items()}
TARGETS = (QUOTES_TARGET, *_LAKE_TABLES)
_TAG = "verify"


@dataclass(frozen=True)
class Storage:
    """What was loaded, at its origin: a topic's objects and their lines, the lake, its files."""

    list_objects: Callable[[str], list[Listed]]
    read_lines: Callable[[list[Listed]], list[LineFile]]
    catalog: Catalog
    read_rows: Callable[[Added], pa.Table]


def run(
    settings: SnowflakeSettings, targets: Sequence[str], sample: int, say: Say
) -> Iterator[Verified]:
    """Compare targets as LOADER, one after the other; nothing is written anywhere.

    Raises:
        SnowflakeError: the login is refused, or a question; StoreError: the store refuses.
        LoadError: the lake's catalog is not there.
    """
    store = StoreSettings.load()
    bronze = Bronze(store_client(store), store.bronze_bucket)
    storage = Storage(
        lambda topic: bronze.beyond(topic, {}),
        bronze.read,
        lake.open_catalog(LakeSettings.load(), store),
        functools.partial(read_rows, lake.filesystem(store)),
    )
    with closing(connection(settings, "loader", _TAG)) as session:
        tables = Tables(session)
        for target in targets:
            yield verify(target, tables, storage, sample, say)


def verify(target: str, tables: Tables, storage: Storage, sample: int, say: Say) -> Verified:
    """Compare one target; ``sample`` of its rows, and of those that differ by file, are shown."""
    entries = tables.ledger(target)
    if target == QUOTES_TARGET:
        quotes = Quotes(target, tables, storage.list_objects, storage.read_lines)
        return compare(quotes, entries, sample, say)
    rows = Rows(target, tables, storage.catalog, _LAKE_TABLES[target], storage.read_rows)
    return compare(rows, entries, sample, say)


def read_rows(files: pyarrow.fs.FileSystem, added: Added) -> pa.Table:
    """Return a data file's rows.

    Raises:
        LoadError: it is not there, or of another size than the lake's metadata say.
        StoreUnavailableError: the store does not give it.
    """
    with lake.lake_errors():
        try:
            lake.open_file(files, added).close()
            return lake.read(files, added).rows
        except FileNotFoundError as error:
            raise LoadError(f"{added.file}: expected in the lake's bucket, found none") from error
