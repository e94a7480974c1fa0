"""The statements of a load into Snowflake; the text alone, which others send.

A list is prepared in temporary tables, for which USAGE of the schema is enough, and written between
BEGIN and COMMIT by inserts and a MERGE: any DDL there would commit. COPY goes into temporary tables
alone. They are new for every list, so that what Snowflake remembers of loaded files (64 days, by
table) decides nothing.

Writes leave out what is there: who does not know what became of a list may send it again. Names are
quoted in capitals, as Snowflake keeps unquoted ones: some of them are reserved words.
"""
# ruff: noqa: S608 - statements are what this module makes; every value in one is a ``literal``

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

LEDGER = "ops.load_ledger"
LOCK = "ops.load_lock"
INCOMING = "@common.incoming"
BRONZE_OBJECTS = "@common.bronze_objects"
LAKE_FILES = "@common.lake_files"
_FILES = "common.loading_files"
_LINES = "common.loading_lines"
_TEXTS = "common.loading_texts"
_REJECTS = "common.loading_rejects"
_ROWS = "common.loading_rows"
# Longer than a list takes to be written; then another load is at work, or a lost one's transaction
# waits for its end.
_LOCK_TIMEOUT_S = 120

# What a raw table has beyond the lake's own columns.
LOADS_OWN = ("file", "snapshot_id", "loaded_at", "batch_id")
_QUOTES = ("v", "topic", "generation", "partition", "file", "loaded_at", "batch_id")
_REJECTED: Mapping[str, str] = {
    "topic": "varchar",
    "generation": "varchar",
    "partition": "integer",
    "offset": "bigint",
    "line_number": "bigint",
    "reason": "varchar",
    "raw": "varchar",
    "raw_encoding": "varchar",
    "file": "varchar",
}
_FILE_COLUMNS: Mapping[str, str] = {
    "file": "varchar",
    "staged_as": "varchar",
    "topic": "varchar",
    "generation": "varchar",
    "partition": "integer",
    "snapshot_id": "bigint",
    "reached_id": "bigint",
    "row_count": "bigint",
    "bytes": "bigint",
}


@dataclass(frozen=True)
class FileRow:
    """A file of the list.

    ``staged_as`` is what COPY calls it, ``snapshot_id`` what its rows get, ``reached_id`` what the
    ledger gets, ``row_count`` what its maker counted.
    """

    file: str
    staged_as: str
    row_count: int
    bytes: int
    topic: str | None = None
    generation: str | None = None
    partition: int | None = None
    snapshot_id: int | None = None
    reached_id: int | None = None


@dataclass(frozen=True)
class Batch:
    """One list on its way into a raw table.

    Rows that a load left behind without a ledger entry have batches after ``after``, the target's
    last one in the ledger: only there are they looked for, at the cost of what is new.
    """

    target: str
    tables: tuple[str, ...]
    number: int
    after: int
    loaded_at: datetime

    @property
    def _moment(self) -> str:
        return f"cast('{self.loaded_at:%Y-%m-%d %H:%M:%S.%f}' as timestamp_ntz)"


def literal(value: str | int | None) -> str:
    """Return a value as Snowflake reads it; a backslash would escape there."""
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def quoted(name: str) -> str:
    """Return a name as Snowflake keeps it."""
    return f'"{name.upper()}"'


def begin_session() -> list[str]:
    """The lake's times are of UTC, and the raw tables' without a zone.

    A statement ends with the client that waits for it: it would hold the lock for nobody.
    """
    return [
        "alter session set timezone = 'UTC'",
        f"alter session set lock_timeout = {_LOCK_TIMEOUT_S}",
        "alter session set abort_detached_query = true",
        "use schema common",
    ]


def tag(text: str) -> str:
    """Tag the session's statements, for who looks at their history and cost."""
    return f"alter session set query_tag = {literal(text)}"


def show_warehouse(name: str) -> str:
    """Ask for a warehouse's size and when it suspends itself; ``_`` stands for any character."""
    return f"show warehouses like {literal(name)}"


def known_files(target: str, files: Iterable[str]) -> str:
    """Ask which files of a list the ledger has, and of what size."""
    return (
        f'select "FILE", "BYTES" from {LEDGER} where "TARGET" = {literal(target)} '
        f'and "FILE" in ({_literals(files)})'
    )


def last_files(target: str) -> str:
    """Ask for the last of a target's files in each folder."""
    return (
        f'select max("FILE") from {LEDGER} where "TARGET" = {literal(target)} '
        "group by regexp_replace(\"FILE\", '[^/]+$', '')"
    )


def all_files(target: str) -> str:
    """Ask for a target's files and snapshots in the ledger."""
    return f'select "FILE", "SNAPSHOT_ID" from {LEDGER} where "TARGET" = {literal(target)}'


def last_batches(target: str, tables: Sequence[str]) -> str:
    """Ask for the last batch of all, and the last of the target in the ledger.

    The tables are asked too: a batch of rows without a ledger entry may have been read by dbt.
    """
    of_tables = "".join(
        f' union all select max("BATCH_ID") as "BATCH_ID", 0 as "LOADED" from {table}'
        for table in tables
    )
    return (
        'select coalesce(max("BATCH_ID"), 0), coalesce(max("LOADED"), 0) from ('
        f'select "BATCH_ID", iff("TARGET" = {literal(target)}, "BATCH_ID", 0) as "LOADED" '
        f"from {LEDGER}{of_tables}) as batches"
    )


def columns_of(target: str) -> str:
    """Ask for a table's columns and their types, with precision and scale of numbers."""
    schema, _, table = target.upper().partition(".")
    return (
        "select column_name, data_type, numeric_precision, numeric_scale "
        "from information_schema.columns "
        f"where table_schema = {literal(schema)} and table_name = {literal(table)} "
        "order by ordinal_position"
    )


def stage_files(files: Iterable[FileRow]) -> list[str]:
    """Name the list's files to all that follows."""
    rows = ", ".join(
        f"({', '.join(literal(getattr(file, name)) for name in _FILE_COLUMNS)})" for file in files
    )
    return [
        _create(_FILES, _FILE_COLUMNS),
        f"insert into {_FILES} ({_names(_FILE_COLUMNS)}) values {rows}",
    ]


def stage_objects(files: Iterable[str]) -> list[str]:
    """COPY bronze objects as they lie; one that Snowflake refuses is left out as a whole."""
    return [
        _create(_LINES, {"v": "variant", "file": "varchar"}),
        f'copy into {_LINES} ("V", "FILE") from (select $1, metadata$filename '
        f"from {BRONZE_OBJECTS}) files = ({_literals(files)}) "
        "file_format = (format_name = 'common.bronze_lines') on_error = skip_file",
    ]


def stage_no_lines() -> str:
    """Make the table of documents, empty."""
    return _create(_LINES, {"v": "variant", "file": "varchar"})


def count_lines() -> str:
    """Ask for each file's documents, and how many of them are not null."""
    return (
        f'select "FILE", count(*), count_if({_IS_DOCUMENT.format(value=quoted("v"))}) '
        f'from {_LINES} group by "FILE"'
    )


def forget_lines(files: Iterable[str]) -> str:
    """Drop what came out of these objects; they are sent line by line."""
    return f'delete from {_LINES} where "FILE" in ({_literals(files)})'


def incoming_files() -> str:
    """Ask for what lies in the internal stage, of any load."""
    return f"list {INCOMING}"


def put(path: str, folder: str) -> str:
    """Send files of this machine into a folder of the internal stage."""
    return f"put 'file://{path}' {INCOMING}/{folder}/ auto_compress = false overwrite = true"


def remove(folder: str) -> str:
    """Empty a folder of the internal stage."""
    return f"remove {INCOMING}/{folder}/"


def stage_texts(folder: str, name: str) -> list[str]:
    """COPY lines that were sent, as texts."""
    return [
        _create(_TEXTS, {"file": "varchar", "line_number": "bigint", "line": "varchar"}),
        _copy_by_name(_TEXTS, f"{INCOMING}/{folder}/", [name]),
    ]


def refused_texts() -> str:
    """Ask which lines Snowflake refuses, and why."""
    return (
        'select "FILE", "LINE_NUMBER", check_json("LINE") '
        f'from {_TEXTS} where not {_IS_LINE} order by "FILE", "LINE_NUMBER"'
    )


def parse_texts() -> str:
    """Add the documents of the texts that Snowflake takes."""
    return (
        f'insert into {_LINES} ("V", "FILE") select try_parse_json("LINE"), "FILE" '
        f"from {_TEXTS} where {_IS_LINE}"
    )


def stage_rejects(folder: str, name: str) -> list[str]:
    """COPY refused lines that were sent."""
    return [_create(_REJECTS, _REJECTED), _copy_by_name(_REJECTS, f"{INCOMING}/{folder}/", [name])]


def stage_rows(
    target: str, columns: Sequence[str], location: str, files: Sequence[str]
) -> list[str]:
    """COPY data files of the lake as they lie, with the raw table's types."""
    return [
        f"create or replace temporary table {_ROWS} as select {_names(columns)}, "
        f'cast(null as varchar) as "STAGED_AS" from {target} where false',
        _copy_by_name(_ROWS, location, files)
        + ' include_metadata = ("STAGED_AS" = metadata$filename)',
    ]


def count_rows() -> str:
    """Ask for each data file's rows."""
    return (
        f'select files."FILE", count(*) from {_ROWS} as staged inner join {_FILES} as files '
        'on staged."STAGED_AS" = files."STAGED_AS" group by files."FILE"'
    )


def bounds_of_rows(columns: Iterable[str]) -> str:
    """Ask for the least and the greatest value of each column."""
    bounds = (f"min({quoted(name)}), max({quoted(name)})" for name in columns)
    return f"select {', '.join(bounds)} from {_ROWS}"


def differing_lines(batch: Batch) -> str:
    """Ask which objects have lines that the raw table lacks while it has others of them."""
    return _differing(
        batch,
        f'select "FILE", to_json("V") as "CONTENT" from {_LINES}',
        f'select "FILE", to_json("V") as "CONTENT" from {batch.target}',
    )


def differing_rows(batch: Batch, columns: Sequence[str]) -> str:
    """Ask which data files have rows that the raw table lacks while it has others of them."""
    names = _names(columns)
    qualified = ", ".join(f"staged.{quoted(name)}" for name in columns)
    return _differing(
        batch,
        f'select "FILE", {names} from (select files."FILE", {qualified} from {_ROWS} as staged '
        f'inner join {_FILES} as files on staged."STAGED_AS" = files."STAGED_AS") as arriving',
        f'select "FILE", {names} from {batch.target}',
    )


def insert_lines(batch: Batch) -> str:
    """Write documents with the place of their object."""
    return (
        f"insert into {batch.target} ({_names(_QUOTES)}) "
        'select staged."V", files."TOPIC", files."GENERATION", files."PARTITION", '
        f'files."FILE", {batch._moment}, {batch.number} '
        f'from {_LINES} as staged inner join {_FILES} as files on staged."FILE" = files."FILE" '
        f"where {_not_there(batch, batch.target)}"
    )


def insert_rejects(batch: Batch) -> str:
    """Write refused lines."""
    table = rejects_of(batch.target)
    return (
        f"insert into {table} ({_names([*_REJECTED, 'loaded_at', 'batch_id'])}) "
        f"select {_names(_REJECTED)}, {batch._moment}, {batch.number} "
        f"from {_REJECTS} as files where {_not_there(batch, table)}"
    )


def insert_rows(batch: Batch, columns: Sequence[str]) -> str:
    """Write rows with their file and snapshot."""
    qualified = ", ".join(f"staged.{quoted(name)}" for name in columns)
    return (
        f"insert into {batch.target} ({_names([*columns, *LOADS_OWN])}) "
        f'select {qualified}, files."FILE", files."SNAPSHOT_ID", {batch._moment}, {batch.number} '
        f"from {_ROWS} as staged inner join {_FILES} as files "
        f'on staged."STAGED_AS" = files."STAGED_AS" where {_not_there(batch, batch.target)}'
    )


def lock(holder: str) -> str:
    """Keep other loads out until the transaction ends, wherever they run.

    Of two that insert alone Snowflake lets both go on; an UPDATE locks what it changes.
    """
    return f'update {LOCK} set "HOLDER" = {literal(holder)}, "TAKEN_AT" = current_timestamp()'


def merge_ledger(batch: Batch, transaction: str | None) -> str:
    """Enter the list, within that transaction alone.

    Snowflake ends one that others wait for and that says nothing for minutes. What comes after it
    is a transaction by itself: there the list has no rows, and must have no entries.
    """
    return (
        f"merge into {LEDGER} as ledger using (select * from {_FILES} "
        f"where equal_null(current_transaction(), {literal(transaction)})) as files "
        f'on ledger."TARGET" = {literal(batch.target)} and ledger."FILE" = files."FILE" '
        "when not matched then insert "
        '("TARGET", "FILE", "SNAPSHOT_ID", "ROW_COUNT", "BYTES", "BATCH_ID", "LOADED_AT") '
        f'values ({literal(batch.target)}, files."FILE", files."REACHED_ID", '
        f'files."ROW_COUNT", files."BYTES", {batch.number}, {batch._moment})'
    )


def count_entered(batch: Batch) -> str:
    """Ask how many files of the list are in the ledger by this load and no other."""
    return (
        f'select count(*) from {LEDGER} where "TARGET" = {literal(batch.target)} '
        f'and "BATCH_ID" = {batch.number} and "LOADED_AT" = {batch._moment} '
        f'and "FILE" in (select "FILE" from {_FILES})'
    )


def count_written(batch: Batch) -> str:
    """Ask for the rows of each file of the list, refused ones included, in the tables."""
    tables = " union all ".join(
        f'select "FILE" from {table} where "BATCH_ID" > {batch.after}' for table in batch.tables
    )
    return (
        f'select "FILE", count(*) from ({tables}) as written '
        f'where "FILE" in (select "FILE" from {_FILES}) group by "FILE"'
    )


def folder_of(target: str, load: str) -> str:
    """Return the folder in the internal stage of what one load sends of a target."""
    return f"{target.partition('.')[2]}/{load}"


def rejects_of(target: str) -> str:
    """Return the table of a target's refused lines."""
    return f"{target.removesuffix('_raw')}_rejects"


_IS_DOCUMENT = "coalesce(typeof({value}), 'NULL_VALUE') <> 'NULL_VALUE'"
_IS_LINE = _IS_DOCUMENT.format(value='try_parse_json("LINE")')


def _not_there(batch: Batch, table: str) -> str:
    """A file's rows are written by one statement: they are there whole, or not at all."""
    return f'files."FILE" not in (select "FILE" from {table} where "BATCH_ID" > {batch.after})'


def _differing(batch: Batch, arriving: str, written: str) -> str:
    left_behind = f'"BATCH_ID" > {batch.after}'
    return (
        f'select distinct "FILE" from ({arriving} where "FILE" in '
        f'(select "FILE" from {batch.target} where {left_behind}) '
        f"minus {written} where {left_behind}) as differing"
    )


def _copy_by_name(table: str, location: str, files: Iterable[str]) -> str:
    return (
        f"copy into {table} from {location} files = ({_literals(files)}) "
        "file_format = (format_name = 'common.lake_parquet') "
        "match_by_column_name = case_insensitive on_error = abort_statement"
    )


def _create(table: str, columns: Mapping[str, str]) -> str:
    types = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    return f"create or replace temporary table {table} ({types})"


def _names(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))


def _literals(values: Iterable[str]) -> str:
    return ", ".join(map(literal, values))
