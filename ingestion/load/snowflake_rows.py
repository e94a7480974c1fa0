"""Data files of the lake into the temporary table that has the raw table's columns."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import LoadError
from ingestion.load import snowflake_sql as sql
from ingestion.load.model import Added, Loaded
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_stage import Incoming, Source, Staged, compare, refuse_differing

_READERS = 8
# Precision and scale; None of what is no decimal.
_Columns = Mapping[str, tuple[int, int] | None]


class Rows:
    """The lake's lane."""

    def __init__(self, session: Session, source: Source, incoming: Incoming) -> None:
        self._session = session
        self._source = source
        self._incoming = incoming

    def stage(
        self, batch: sql.Batch, files: Sequence[Added], reached: Mapping[str, int | None]
    ) -> Staged:
        """Bring data files' rows into the temporary tables.

        ``reached`` has what the ledger is to say of each file; of a name that is no file's, it is a
        snapshot that came without one.

        Raises:
            LoadError: a file's rows differ from the metadata's count, or from rows that are there;
                a column is not in the raw table, or would be rounded there.
        """
        staged_as = self._names(batch.target, files)
        self._session.execute_all(sql.stage_files(_rows(files, staged_as, reached)))
        writes = [self._copy(batch, files, staged_as)] if files else []
        expected = {added.file: added.records for added in files}
        loaded = Loaded(len(files), sum(expected.values()))
        return Staged(batch, expected, writes, loaded)

    def _copy(self, batch: sql.Batch, files: Sequence[Added], staged_as: Mapping[str, str]) -> str:
        """Have the files copied and counted, and return the statement that writes them."""
        target = batch.target
        columns = self._columns(target)
        self._require_columns(target, columns, files)
        names = [staged_as[added.file] for added in files]
        if self._source.stage == "external":
            location = sql.LAKE_FILES
        else:
            location = f"{sql.INCOMING}/{sql.folder_of(target)}/"
            names = [name.rpartition("/")[2] for name in names]
            opened = (self._source.open_file(added) for added in files)
            self._incoming.send_files(target, zip(names, opened, strict=True))
        self._session.execute_all(sql.stage_rows(target, list(columns), location, names))
        expected = {added.file: added.records for added in files}
        compare(expected, dict(self._session.execute(sql.count_rows())))
        refuse_differing(self._session.execute(sql.differing_rows(batch, list(columns))))
        return sql.insert_rows(batch, list(columns))

    def _names(self, target: str, files: Sequence[Added]) -> dict[str, str]:
        """Return what Snowflake calls each file: its path in the bucket, or in the stage."""
        if self._source.stage == "external":
            return {added.file: urlsplit(added.file).path.lstrip("/") for added in files}
        folder = sql.folder_of(target)
        return {added.file: f"{folder}/{n:05d}.parquet" for n, added in enumerate(files)}

    def _columns(self, target: str) -> _Columns:
        return {
            name.lower(): None if precision is None else (precision, scale)
            for name, precision, scale in self._session.execute(sql.columns_of(target))
            if name.lower() not in sql.LOADS_OWN
        }

    def _require_columns(self, target: str, columns: _Columns, files: Sequence[Added]) -> None:
        """Refuse what COPY by name would pass over in silence: unknown columns, and rounding."""
        with ThreadPoolExecutor(_READERS) as pool:
            for schema in pool.map(self._schema, files):
                for field in schema:
                    _require_column(target, columns, field)

    def _schema(self, added: Added) -> pa.Schema:
        with self._source.open_file(added) as file:
            return pq.read_schema(file)


def _require_column(target: str, columns: _Columns, field: "pa.Field[Any]") -> None:
    if field.name not in columns:
        raise LoadError(
            f"{target}: expected no column of the lake that the table lacks, found {field.name}: "
            "`python -m ingestion snowflake bootstrap` adds what this version knows of"
        )
    known = columns[field.name]
    if pa.types.is_decimal(field.type) and known != (field.type.precision, field.type.scale):
        raise LoadError(
            f"{target}: expected {field.name} as decimal{known}, found {field.type} in the lake"
        )


def _rows(
    files: Sequence[Added], staged_as: Mapping[str, str], reached: Mapping[str, int | None]
) -> list[sql.FileRow]:
    by_name = {added.file: added for added in files}
    rows = []
    for file, snapshot in reached.items():
        added = by_name.get(file)
        if added is None:
            rows.append(sql.FileRow(file, file, 0, 0, reached_id=snapshot))
        else:
            rows.append(
                sql.FileRow(
                    file,
                    staged_as[file],
                    added.records,
                    added.size,
                    snapshot_id=added.snapshot_id,
                    reached_id=snapshot,
                )
            )
    return rows
