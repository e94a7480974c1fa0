"""The lake's tables, through the catalog and their own files."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from sqlalchemy.exc import SQLAlchemyError

from audit import hints
from audit.errors import UnreadableError
from audit.ledger import identities
from audit.model import EXAMPLES, NO_VALUES, Hashes, Holdings, Partition
from audit.offsets import COLUMNS, collect
from audit.settings import Settings

POSITIONS = "tapehouse.positions"
MEMORY = "256MB"  # beyond it DuckDB spills into a temporary folder
_SQLITE = "sqlite:///"
# ValueError: metadata that is no longer the JSON or Avro that it was.
_UNREADABLE = (OSError, EOFError, ValueError, SQLAlchemyError, pa.ArrowException, duckdb.Error)

# Every table that a topic's records can end in.
TABLES_OF_TOPIC = {
    "stock-market-batch": ("silver.bars", "silver.corporate_actions", "silver.rejects"),
    "stock-market-realtime": ("silver.trades", "silver.rejects"),
}
EVENT_TABLES = ("silver.bars", "silver.corporate_actions", "silver.trades")
REJECTS = "silver.rejects"
DUPLICATE = "duplicate"  # the one reject reason that is a copy, not a fault


@dataclass
class LakeTable:
    """What one table holds; ``positions`` is None where no commit carries any."""

    rows: Holdings = field(default_factory=dict)
    reasons: dict[Partition, Counter[str]] = field(default_factory=dict)
    positions: dict[Partition, int] | None = None
    repeated: list[str] = field(default_factory=list)
    ids: Hashes = field(default_factory=lambda: NO_VALUES.values)
    refused: Holdings = field(default_factory=dict)
    """Rejects that are no copies; like ``ids`` read only where producers' ids are followed."""


class Lake:
    """The catalog, opened so that it cannot be written."""

    def __init__(self, settings: Settings, made: type[SqlCatalog] = SqlCatalog) -> None:
        self._made = made
        access, secret = settings.store_keys()
        self._uri = settings.catalog_uri()
        self._properties = {
            "uri": _read_only(self._uri),
            "init_catalog_tables": "false",
            "s3.endpoint": settings.store_url(),
            "s3.region": settings.store_region(),
            "s3.access-key-id": access,
            "s3.secret-access-key": secret,
        }

    @contextmanager
    def catalog(self) -> Iterator[SqlCatalog | None]:
        """Return the catalog; None where nothing has ever been written to the lake."""
        if self._uri.startswith(_SQLITE) and not Path(self._uri.removeprefix(_SQLITE)).exists():
            yield None
            return
        with _readable("the lake"):
            catalog = self._made("lake", **self._properties)
            try:
                yield catalog
            finally:
                catalog.close()

    def read(self, with_ids: bool = False) -> dict[str, LakeTable]:
        """Return every event table and the rejects, as they are on ``main``."""
        with self.catalog() as catalog:
            names = (*EVENT_TABLES, REJECTS)
            return {name: _read(load(catalog, name), name, with_ids) for name in names}


def load(catalog: SqlCatalog | None, name: str) -> Table | None:
    """Return a table, None where it does not exist."""
    if catalog is None:
        return None
    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        return None


def batches(table: Table | None, columns: Iterable[str]) -> pa.RecordBatchReader | None:
    """Return a table's rows, None where there is nothing to scan."""
    if table is None or table.current_snapshot() is None:
        return None
    return table.scan(selected_fields=tuple(columns)).to_arrow_batch_reader()


def _read(table: Table | None, name: str, with_ids: bool) -> LakeTable:
    found = LakeTable()
    if table is None:
        return found
    found.positions = positions(table)
    if reader := batches(table, COLUMNS):
        found.rows = collect(reader)
    if name == REJECTS:
        found.reasons = _reasons(table)
    elif reader := batches(table, ["event_id"]):
        found.repeated = repeated(reader)
    if with_ids:
        _identify(found, table, name)
    return found


def _identify(found: LakeTable, table: Table, name: str) -> None:
    if name == REJECTS:
        found.refused = collect(_refused(table))
        return
    parts = [
        identities(str(text) for text in batch.column("event_id").to_pylist())
        for batch in batches(table, ["event_id"]) or ()
    ]
    found.ids = np.concatenate(parts) if parts else NO_VALUES.values


def _refused(table: Table) -> Iterator[pa.RecordBatch]:
    for batch in batches(table, (*COLUMNS, "reason")) or ():
        is_other = [reason != DUPLICATE for reason in batch.column("reason").to_pylist()]
        yield batch.filter(pa.array(is_other, pa.bool_()))


def positions(table: Table) -> dict[Partition, int] | None:
    """Return the positions of the latest commit on ``main`` that carries any.

    Raises:
        UnreadableError: they are not the JSON that they should be.
    """
    snapshot = table.current_snapshot()
    while snapshot is not None:
        text = snapshot.summary.additional_properties.get(POSITIONS) if snapshot.summary else None
        if text is not None:
            return _parse(text)
        parent = snapshot.parent_snapshot_id
        snapshot = table.snapshot_by_id(parent) if parent is not None else None
    return None


def _parse(text: str) -> dict[Partition, int]:
    try:
        return {
            Partition(topic, generation, int(number)): int(position)
            for topic, generations in json.loads(text).items()
            for generation, partitions in generations.items()
            for number, position in partitions.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise UnreadableError(f"{POSITIONS}: expected offsets, found {text[:80]!r}") from error


def repeated(reader: pa.RecordBatchReader) -> list[str]:
    """Return up to 20 event_ids that are there more than once."""
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        connection.execute(f"set memory_limit = '{MEMORY}'")
        connection.execute("set enable_progress_bar = false")
        connection.execute("set temp_directory = ?", [spill])
        connection.register("ids", reader)
        found = connection.execute(
            "select event_id from ids group by event_id having count(*) > 1"
            " order by event_id limit ?",
            [EXAMPLES],
        ).fetchall()
    return [str(event_id) for (event_id,) in found]


def _reasons(table: Table) -> dict[Partition, Counter[str]]:
    """Return how many rejects each partition has, by reason."""
    found: dict[Partition, Counter[str]] = {}
    reader = batches(table, ["topic", "generation", "partition", "reason"])
    for batch in reader or ():
        counts = (
            pa.Table.from_batches([batch])
            .group_by(["topic", "generation", "partition", "reason"])
            .aggregate([([], "count_all")])
        )
        for row in counts.to_pylist():
            place = Partition(row["topic"], row["generation"], row["partition"])
            found.setdefault(place, Counter())[row["reason"]] += row["count_all"]
    return found


def _read_only(uri: str) -> str:
    """Return a SQLite URL that cannot create or change the file; others as they are."""
    if not uri.startswith(_SQLITE):
        return uri
    return f"{_SQLITE}file:{uri.removeprefix(_SQLITE)}?mode=ro&uri=true"


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        text: Any = str(error).splitlines()[0] if str(error) else repr(error)
        raise UnreadableError(f"{what} cannot be read: {text}{hints.store(text)}") from error
