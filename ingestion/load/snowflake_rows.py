"""Data files of the lake into the temporary table that has the raw table's columns."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.errors import LoadError
from ingestion.load import snowflake_sql as sql
from ingestion.load.model import Added, Loaded
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_stage import Incoming, Source, Staged, compare, refuse_differing

_READERS = 8
# What a column of the lake may come to be, by name as `information_schema` has it. Anything else
# Snowflake would cast in silence.
_TYPES: Sequence[tuple[Callable[["pa.DataType"], bool], str]] = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_integer, "NUMBER"),
    (pa.types.is_decimal, "NUMBER"),
    (pa.types.is_floating, "FLOAT"),
    (pa.types.is_string, "TEXT"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_timestamp, "TIMESTAMP_NTZ"),
)


class _Column(NamedTuple):
    """A column of the raw table; precision and scale of a number."""

    kind: str
    precision: int | None
    scale: int | None


_Columns = Mapping[str, _Column]
_Bounds = dict[str, tuple[Any, Any]]


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
        columns = self._copy(batch, files, staged_as) if files else []

        def writes(batch: sql.Batch) -> list[str]:
            return [sql.insert_rows(batch, columns)] if files else []

        expected = {added.file: added.records for added in files}
        loaded = Loaded(len(files), sum(expected.values()))
        return Staged(batch, expected, writes, loaded)

    def _copy(
        self, batch: sql.Batch, files: Sequence[Added], staged_as: Mapping[str, str]
    ) -> list[str]:
        """Have the files copied and counted, and return their columns."""
        target = batch.target
        columns = self._columns(target)
        footers = self._footers(files)
        for footer in footers:
            for field in footer.schema.to_arrow_schema():
                _require_column(target, columns, field)
        names = [staged_as[added.file] for added in files]
        if self._source.stage == "external":
            location = sql.LAKE_FILES
        else:
            location = f"{sql.INCOMING}/{self._incoming.folder(target)}/"
            names = [name.rpartition("/")[2] for name in names]
            opened = (self._source.open_file(added) for added in files)
            self._incoming.send_files(target, zip(names, opened, strict=True))
        self._session.execute_all(sql.stage_rows(target, list(columns), location, names))
        expected = {added.file: added.records for added in files}
        compare(expected, dict(self._session.execute(sql.count_rows())))
        self._compare_bounds(target, _bounds(footers))
        refuse_differing(self._session.execute(sql.differing_rows(batch, list(columns))))
        return list(columns)

    def _names(self, target: str, files: Sequence[Added]) -> dict[str, str]:
        """Return what Snowflake calls each file: its path in the bucket, or in the stage."""
        if self._source.stage == "external":
            # `s3://bucket/path`; a path may have what a URL has behind it, `#` and `?`.
            return {added.file: added.file.split("/", maxsplit=3)[3] for added in files}
        folder = self._incoming.folder(target)
        return {added.file: f"{folder}/{n:05d}.parquet" for n, added in enumerate(files)}

    def _columns(self, target: str) -> _Columns:
        return {
            name.lower(): _Column(*told)
            for name, *told in self._session.execute(sql.columns_of(target))
            if name.lower() not in sql.LOADS_OWN
        }

    def _compare_bounds(self, target: str, expected: _Bounds) -> None:
        """Refuse times that COPY has read in another zone, and amounts that it has rounded."""
        if not expected:
            return
        [found] = self._session.execute(sql.bounds_of_rows(expected))
        for name, bounds, read in zip(
            expected, expected.values(), zip(found[::2], found[1::2], strict=True), strict=True
        ):
            if bounds != read:
                raise LoadError(
                    f"{target}: expected {name} from {bounds[0]} to {bounds[1]} as in the lake's "
                    f"files, found {read[0]} to {read[1]}"
                )

    def _footers(self, files: Sequence[Added]) -> list[pq.FileMetaData]:
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._footer, files))

    def _footer(self, added: Added) -> pq.FileMetaData:
        with self._source.open_file(added) as file:
            return pq.read_metadata(file)


def _bounds(footers: Sequence[pq.FileMetaData]) -> _Bounds:
    """Return the least and the greatest value of each time and decimal that has any.

    Columns of whose values a row group does not tell are left out.
    """
    found: _Bounds = {}
    untold: set[str] = set()
    for footer in footers:
        kinds = {field.name: field.type for field in footer.schema.to_arrow_schema()}
        for group in map(footer.row_group, range(footer.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                name, told = column.path_in_schema, column.statistics
                if not _is_exact(kinds.get(name)) or (told and told.null_count == group.num_rows):
                    continue
                if told is None or not told.has_min_max:
                    untold.add(name)
                    continue
                least, greatest = map(_without_zone, (told.min, told.max))
                low, high = found.get(name, (least, greatest))
                found[name] = min(low, least), max(high, greatest)
    return {name: bounds for name, bounds in found.items() if name not in untold}


def _is_exact(kind: pa.DataType | None) -> bool:
    return kind is not None and (pa.types.is_timestamp(kind) or pa.types.is_decimal(kind))


def _without_zone(value: Any) -> Any:  # noqa: ANN401 - a datetime or a Decimal
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _require_column(target: str, columns: _Columns, field: "pa.Field[Any]") -> None:
    if field.name not in columns:
        raise LoadError(
            f"{target}: expected no column of the lake that the table lacks, found {field.name}: "
            "`python -m ingestion snowflake bootstrap` adds what this version knows of"
        )
    kind, precision, scale = columns[field.name]
    expected = next((theirs for is_one, theirs in _TYPES if is_one(field.type)), None)
    if kind != expected:
        raise LoadError(
            f"{target}: expected {field.name} as {kind}, found {field.type} in the lake"
        )
    is_decimal = pa.types.is_decimal(field.type)
    if is_decimal and (precision, scale) != (field.type.precision, field.type.scale):
        raise LoadError(
            f"{target}: expected {field.name} as decimal({precision}, {scale}), found {field.type} "
            "in the lake"
        )
    if pa.types.is_integer(field.type) and scale != 0:
        raise LoadError(
            f"{target}: expected {field.name} with {scale} decimals, found {field.type} in the lake"
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
