"""Published gold in PostgreSQL, for BI tools that read no DuckDB: one transaction for each build.

Rows are deleted and copied, so a reader's snapshot of before keeps the build that it began with.
Each statement of a transaction at PostgreSQL's usual level (read committed) sees what was committed
last: so the copy commits in a moment in which no other transaction has read a table of gold, and
holds all of them for that moment. What a killed command has written nobody ever sees.
"""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import psycopg2
import pyarrow as pa
from pyarrow import csv

from dashboards import contract
from dashboards.contract import Table
from dbt_stocks import postgres, postgres_lock
from dbt_stocks.books import Build
from dbt_stocks.postgres import GOLD, PgTable, listed, named, quoted
from dbt_stocks.postgres_session import connected
from dbt_stocks.reader import GoldReader, PinnedBuild
from ingestion.cli import one_line
from ingestion.errors import BuildError, ServingError

Say = Callable[[str], None]

_RECORD: Final = "ops.builds"
_FIELDS: Final = tuple(one.name for one in fields(Build))
_RECORD_DDL: Final = f"""
create table {_RECORD} (
    build_id text not null primary key,
    as_of timestamptz,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    note text,
    load_batch_id bigint,
    publication bigint not null,
    rows jsonb not null,
    served_at timestamptz not null default clock_timestamp()
)
"""
# Of all that serve into a database, one at a time: any number that nobody else takes.
_TURN: Final = 7_227_310_552
_BATCH_ROWS: Final = 50_000
# NULL is an empty field, and an empty text is "": as PostgreSQL's CSV has it.
_CSV: Final = csv.WriteOptions(include_header=False, quoting_style="all_valid")


@dataclass
class Served:
    """The build that PostgreSQL has now; ``rows`` by mart.

    ``copied`` is False where it was there already; ``before`` is the build that it replaced.
    """

    build_id: str
    copied: bool
    before: str | None
    rows: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Rules:
    """When an older build may take the place of a newer one, and how long readers are waited for.

    ``is_withdrawn`` tells whether a rollback has passed over a build that is served.
    """

    older: bool = False
    is_withdrawn: Callable[[str], bool] = lambda _: False
    readers_wait_s: float = 300.0


def serve(published: Path, url: str, say: Say, rules: Rules | None = None) -> Served:
    """Copy the newest published build to the database of ``url``, unless it is there.

    Raises:
        BuildError: nothing has been published, or its columns are not those of the contract.
        ServingError: PostgreSQL refuses something, has a newer build, or a count differs.
        ServingAwayError: it cannot be reached, or there are readers at every moment.
        SettingsError: the URL is none.
    """
    started = time.monotonic()
    with GoldReader(published) as reader, reader.pinned() as build, connected(url) as db:
        with _transaction(db):
            served = _Copy(build, db.cursor(), say, rules or Rules()).run()
        if served.copied:
            _tidy(db, served)
    served.seconds = round(time.monotonic() - started, 3)
    return served


class _Copy:
    """One build on its way into one database, in the transaction of a cursor."""

    def __init__(self, build: PinnedBuild, cursor: Any, say: Say, rules: Rules) -> None:  # noqa: ANN401 - psycopg2's
        self._build, self._cursor, self._say, self._rules = build, cursor, say, rules
        self._tables = contract.load().tables
        [record] = build.query(f"select {', '.join(_FIELDS)} from {_RECORD}")  # noqa: S608 - names of ours
        self._record = Build(**record)

    def run(self) -> Served:
        """Bring the build here, if it is another one than there is."""
        self._prepare()
        before, rows = self._there()
        if before is not None and before.build_id == self._record.build_id:
            return Served(before.build_id, copied=False, before=before.build_id, rows=rows)
        self._require_newer(before)
        _require_contract(self._build, self._tables)
        copied = self._copy_all(stale=rows.keys() - self._tables.keys())
        self._write_record(copied)
        return Served(self._record.build_id, True, before.build_id if before else None, copied)

    def _prepare(self) -> None:
        # 0 would be for ever.
        wait_ms = max(1, int(self._rules.readers_wait_s * 1000))
        self._cursor.execute(f"set local lock_timeout = {wait_ms}")
        self._cursor.execute("select pg_advisory_xact_lock(%s)", [_TURN])
        # What DuckDB writes has no zone, and is UTC.
        self._cursor.execute("set local time zone 'UTC'")
        for schema in (GOLD, "ops"):
            # Asked first: a user for whom an administrator made both may not make any.
            if self._one("select to_regnamespace(%s)::text", [schema]) is None:
                self._cursor.execute(f"create schema {schema}")
        if self._one("select to_regclass(%s)::text", [_RECORD]) is None:
            self._cursor.execute(_RECORD_DDL)

    def _there(self) -> tuple[Build | None, dict[str, int]]:
        self._cursor.execute(f"select {', '.join(_FIELDS)}, rows from {_RECORD}")  # noqa: S608 - names of ours
        found = self._cursor.fetchone()
        return (Build(*found[:-1]), found[-1]) if found else (None, {})

    def _require_newer(self, before: Build | None) -> None:
        build = self._record
        if before is None or before.publication < build.publication or self._rules.older:
            return
        if self._rules.is_withdrawn(before.build_id):
            self._say(f"build {before.build_id} was withdrawn: going back to {build.build_id}")
            return
        raise ServingError(
            f"expected a build after {before.build_id}, which PostgreSQL has (finished "
            f"{before.finished_at:%F %T}Z), found {build.build_id} ({build.finished_at:%F %T}Z); "
            "--older serves it nevertheless"
        )

    def _copy_all(self, stale: set[str]) -> dict[str, int]:
        """Bring every mart here, and hold what readers know until the transaction ends."""
        there = postgres.found(self._cursor)
        want = {name: postgres.wanted(table) for name, table in self._tables.items()}
        stale &= there.keys()
        changes = {
            name: postgres.alterations(name, there[name], table)
            for name, table in want.items()
            if name in there
        }
        known = [_RECORD, *map(named, changes)]
        if stale or any(changes.values()):
            # These readers wait during the copy too: only a change of columns is worth that.
            self._hold([*known, *map(named, stale)])
        for name in sorted(stale):
            self._cursor.execute(f"drop table {named(name)}")
        rows = {}
        for name, table in want.items():
            self._shape(name, there.get(name), table, changes.get(name, []))
            rows[name] = self._copy(name, table)
            self._say(f"{name}: {rows[name]} rows")
        self._hold(known)
        return rows

    def _hold(self, tables: Sequence[str]) -> None:
        postgres_lock.hold(self._cursor, tables, self._rules.readers_wait_s)

    def _shape(self, name: str, now: PgTable | None, then: PgTable, changes: list[str]) -> None:
        if now is None:
            self._cursor.execute(postgres.creation(name, then))
        else:
            self._cursor.execute(f"delete from {named(name)}")  # noqa: S608 - a name of the contract
        for change in changes:
            self._cursor.execute(change)
        for statement, text in postgres.comments(name, now, then):
            self._cursor.execute(statement, [text])

    def _copy(self, name: str, table: PgTable) -> int:
        columns, source = listed(table.columns), f"{GOLD}.{quoted(name)}"
        [expected] = self._build.query(f"select count(*) as n from {source}")  # noqa: S608 - a name of the contract
        rows = _Csv(self._build.batches(f"select {columns} from {source}", _BATCH_ROWS))  # noqa: S608 - names of the contract
        into = f"copy {named(name)} ({columns}) from stdin (format csv)"
        self._cursor.copy_expert(into, rows)
        found = int(self._one(f"select count(*) from {named(name)}"))  # noqa: S608 - a name of the contract
        if found != expected["n"]:
            raise ServingError(f"{named(name)}: expected {expected['n']} rows, found {found}")
        return found

    def _write_record(self, rows: Mapping[str, int]) -> None:
        values = [getattr(self._record, name) for name in _FIELDS]
        marks = ", ".join(["%s"] * (len(values) + 1))
        self._cursor.execute(f"delete from {_RECORD}")  # noqa: S608 - a name of ours
        self._cursor.execute(
            f"insert into {_RECORD} ({', '.join(_FIELDS)}, rows) values ({marks})",  # noqa: S608 - names of ours
            [*values, json.dumps(rows)],
        )

    def _one(self, query: str, values: Sequence[object] = ()) -> Any:  # noqa: ANN401 - of any type
        self._cursor.execute(query, values)
        return self._cursor.fetchone()[0]


class _Csv:
    """Rows as a file of CSV that is made while it is read, a batch in memory at a time."""

    def __init__(self, batches: pa.RecordBatchReader) -> None:
        self._batches, self._text = iter(batches), io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        while not (chunk := self._text.read(size)):
            batch = next(self._batches, None)
            if batch is None:
                return b""
            self._text = io.BytesIO()
            csv.write_csv(batch, self._text, _CSV)
            self._text.seek(0)
        return chunk


def _require_contract(build: PinnedBuild, tables: Mapping[str, Table]) -> None:
    promised = {
        (name, column.name, column.type_in("duckdb"))
        for name, table in tables.items()
        for column in table.columns.values()
    }
    rows = build.query(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'gold'"
    )
    if differing := sorted(promised ^ {tuple(row.values()) for row in rows}):
        table, column, type_ = differing[0]
        raise BuildError(
            f"expected build {build.build_id()} to have the columns of dashboards/contract.json, "
            f"found {len(differing)} that differ, first {table}.{column} ({type_}): build again"
        )


@contextmanager
def _transaction(db: Any) -> Iterator[None]:  # noqa: ANN401 - psycopg2's
    """Commit what is done inside, or nothing of it; psycopg2's own hides why a session ended."""
    try:
        yield
    except BaseException:
        if not db.closed:
            db.rollback()
        raise
    db.commit()


def _tidy(db: Any, served: Served) -> None:  # noqa: ANN401 - psycopg2's
    """Give the room of deleted rows to the next build, and the planner its statistics.

    Raises:
        ServingError: the build is there, and this failed.
    """
    db.autocommit = True
    tables = ", ".join(map(named, served.rows))
    try:
        # Cutting off a table's end would lock readers out.
        db.cursor().execute(f"vacuum (analyze, truncate false) {tables}")
    except psycopg2.Error as error:
        raise ServingError(
            f"build {served.build_id} is served, and vacuum failed: {one_line(str(error))}"
        ) from error
