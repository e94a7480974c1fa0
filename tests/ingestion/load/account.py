"""A Snowflake database of the emulator, and the bytes that a load brings into it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
from snowflake.connector import SnowflakeConnection

from ingestion.load import lake
from ingestion.load.bronze import described, line_file
from ingestion.load.model import Added, Described, LineFile, Listed
from ingestion.load.snowflake_stage import Source
from ingestion.load.snowflake_warehouse import SnowflakeWarehouse, open_warehouse
from ingestion.settings import SnowflakeSettings, StoreSettings
from ingestion.snowflake import scripts
from tests.emulator.process import Emulator
from tests.ingestion.load.objects import key, stored

QUOTES = "common.bronze_stock_quotes_raw"
REJECTS = "common.bronze_stock_quotes_rejects"
BARS = "common.bars_raw"
LEDGER = "ops.load_ledger"
# Of the bootstrap, what the emulator has: no roles, rights, warehouses, integrations.
_MADE = (
    "create schema",
    "create or alter file format",
    "create stage",
    "create table",
    "alter table",
    "insert into",
)
_NUMBERS = count(1)

Stage = Literal["internal", "external"]


class PatientClock:
    """Time that passes as fast as one sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 21, 30, 0, 123456, tzinfo=UTC)

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Buckets:
    """Bronze objects and lake files, where the emulator's external stages find them."""

    root: Path
    objects: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)

    def put(self, start: int, lines: Sequence[bytes], partition: int = 0) -> Listed:
        metadata, body = stored(lines, start)
        name = key(start, partition)
        self.objects[name] = metadata, body
        path = self.root / "bronze" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return Listed(name, len(body))

    def add(self, name: str, rows: pa.Table, snapshot: int = 1) -> Added:
        path = self.root / "lake" / "warehouse" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
        file = f"s3://lake/warehouse/{name}"
        return Added(file, snapshot, path.stat().st_size, rows.num_rows)

    def source(self, stage: Stage) -> Source:
        return Source(stage, self._describe, self._read_lines, self._open_file)

    def _describe(self, listed: list[Listed]) -> list[Described]:
        return [described(f, self.objects[f.file][0], len(self.objects[f.file][1])) for f in listed]

    def _read_lines(self, listed: list[Listed]) -> list[LineFile]:
        return [line_file(found, *self.objects[found.file]) for found in listed]

    def _open_file(self, added: Added) -> pa.NativeFile:
        local = pyarrow.fs.SubTreeFileSystem(str(self.root), pyarrow.fs.LocalFileSystem())
        return lake.open_file(local, added)


@dataclass
class Account:
    """A database made by the bootstrap's own statements, and a connection to look into it."""

    emulator: Emulator
    database: str
    looking: SnowflakeConnection

    def connect(self) -> SnowflakeConnection:
        return self.emulator.connect(self.database)

    def open(
        self,
        source: Source,
        connect: Callable[[], SnowflakeConnection] | None = None,
        clock: PatientClock | None = None,
    ) -> AbstractContextManager[SnowflakeWarehouse]:
        return open_warehouse(
            connect or self.connect, source, clock or PatientClock(), "tapehouse:load"
        )

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.looking.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(statement).fetchall()]

    def empty(self) -> None:
        """Make it as new; a new database takes ten times as long."""
        for table in self._written():
            self.query(f"delete from {table}")
        for target in (QUOTES, BARS):
            self.query(f"remove @common.incoming/{target.partition('.')[2]}/")

    def _written(self) -> list[str]:
        """Return the tables that have rows of a load, and the ledger, which says so."""
        targets = self.query(f"select distinct target from {LEDGER}")
        return [*dict.fromkeys((QUOTES, REJECTS, BARS, *(name for (name,) in targets))), LEDGER]

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what a load has made, but for when: rows, refused lines, ledger, staged files."""
        return {
            "quotes": self.query(
                f'select to_json(v), topic, generation, "PARTITION", file from {QUOTES} '
                "order by file, to_json(v)"
            ),
            "rejects": self.query(
                f"select file, line_number, reason, raw, raw_encoding from {REJECTS} order by 1, 2"
            ),
            "bars": self.query(
                f"select symbol, open, volume, event_at, file, snapshot_id from {BARS} "
                "order by file, symbol"
            ),
            "ledger": self.query(
                f"select target, file, snapshot_id, row_count, bytes from {LEDGER} order by 1, 2"
            ),
            "staged": self.query("list @common.incoming"),
        }


def new_account(emulator: Emulator) -> Iterator[Account]:
    """Make a database of its own and forget it in the end: the emulator ends with the module."""
    database = f"LOAD_{next(_NUMBERS)}"
    with emulator.connect(database) as looking:
        account = Account(emulator, database, looking)
        for statement in bootstrap(database):
            account.query(statement)
        yield account


def bootstrap(database: str) -> list[str]:
    settings = SnowflakeSettings(database=database)
    filled = scripts.placeholders(settings, StoreSettings())
    return [
        statement
        for script in scripts.bootstrap(filled, external=True)
        for statement in script.statements()
        if statement.startswith(_MADE)
    ]


def documents(account: Account) -> list[Any]:
    return [json.loads(text) for (text,) in account.query(f"select to_json(v) from {QUOTES}")]
