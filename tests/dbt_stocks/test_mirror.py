"""Copies of gold in PostgreSQL and Snowflake: exact, of one build, and never shown when old."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import duckdb
import pyarrow as pa
import pytest
from filelock import FileLock
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor

from dashboards.contract import Table
from dbt_stocks import files, serving
from dbt_stocks.books import Build
from dbt_stocks.mirror import MirroredGold
from dbt_stocks.mirror_postgres import PostgresGold
from dbt_stocks.mirror_snowflake import SnowflakeSource
from dbt_stocks.serving import Rules
from dbt_stocks.snowflake_publishing import SnowflakeSession
from ingestion.errors import BuildError, ServingAwayError, ServingError, TapehouseError
from ingestion.settings import SnowflakeSettings
from tests import postgres
from tests.dbt_stocks.published import MOMENT, ROWS, TABLES, publish
from tests.emulator.process import Emulator
from tests.postgres import Cluster

_NUMBERS = count(1)
_FIELDS = tuple(one.name for one in fields(Build))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres.started() as cluster:
        cluster.role("serving")
        cluster.role("page")
        yield cluster


@pytest.fixture
def served(cluster: Cluster, tmp_path: Path) -> Iterator["Served"]:
    """Build 1 in PostgreSQL, and a user that may read it."""
    cluster.run("create database served owner serving")
    found = Served(cluster, tmp_path / "gold")
    found.publish(1)
    cluster.run(
        "grant usage on schema gold, ops to page",
        "grant select on all tables in schema gold, ops to page",
        user="serving",
        database="served",
    )
    yield found
    cluster.run("drop database served with (force)")


@dataclass
class Served:
    cluster: Cluster
    folder: Path

    @property
    def url(self) -> str:
        return self.cluster.url("page", "served")

    def publish(self, number: int) -> None:
        if not files.path_of(self.folder, f"b{number}").exists():
            publish(self.folder, number)
        files.point(self.folder, f"b{number}")
        target = self.cluster.url("serving", "served")
        serving.serve(self.folder, target, lambda _: None, Rules(older=True))


def rows(file: Path) -> dict[str, list[str]]:
    with duckdb.connect(file, read_only=True) as db:
        found = {}
        for table in TABLES.values():
            names = ", ".join(f'"{name}"' for name in table.columns)
            query = f"select {names} from gold.{table.name}"
            found[table.name] = sorted(repr(row) for row in db.execute(query).fetchall())
        found["ops.builds"] = [repr(db.execute("from ops.builds").fetchall())]
        return found


def test_postgres_is_copied_value_by_value(served: Served, tmp_path: Path) -> None:
    gold = MirroredGold(PostgresGold(served.url), tmp_path / "copies")
    gold.refresh()

    [link] = (tmp_path / "copies").glob("*/current")
    assert rows(link) == rows(served.folder / "current")
    with gold.pinned() as build:
        assert build.query("select count(*) as n from gold.gold_kpi") == [{"n": ROWS}]
        types = build.query(
            "select table_name, column_name, data_type from information_schema.columns "
            "where table_schema = 'gold'"
        )
    assert {tuple(one.values()) for one in types} == {
        (table.name, column.name, column.type_in("duckdb"))
        for table in TABLES.values()
        for column in table.columns.values()
    }
    gold.close()


def test_an_empty_table_stays_empty(served: Served, tmp_path: Path) -> None:
    publish(served.folder, 2)
    with duckdb.connect(files.path_of(served.folder, "b2")) as db:
        db.execute("delete from gold.gold_kpi")
    serving.serve(served.folder, served.cluster.url("serving", "served"), lambda _: None)
    gold = MirroredGold(PostgresGold(served.url), tmp_path / "copies")
    gold.refresh()
    with gold.pinned() as build:
        assert build.query("select count(*) as n from gold.gold_kpi") == [{"n": 0}]
    gold.close()


def test_it_follows_builds_forth_and_back(served: Served, tmp_path: Path) -> None:
    gold = MirroredGold(PostgresGold(served.url), tmp_path / "copies", every_s=0.05)
    gold.start()
    for number in (2, 1):
        with gold.pinned() as staying:
            served.publish(number)
            wait_until(lambda: built(gold) == f"b{number}")  # noqa: B023 - called at once
            assert staying.build_id() != f"b{number}"  # who has begun ends on that build
    gold.close()
    [folder] = (tmp_path / "copies").iterdir()
    assert [path.name for path in folder.glob("*.duckdb")] == ["gold-b1.duckdb"]


class Losing:
    """A DuckDB that takes seven rows of each file."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db

    def execute(self, sql: str, values: object = ()) -> Any:
        return self._db.execute(f"{sql} limit 7" if "read_csv" in sql else sql, values)


class LosesRows(PostgresGold):
    def copy(self, db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Build:
        return super().copy(cast(duckdb.DuckDBPyConnection, Losing(db)), tables)


def test_rows_that_do_not_arrive_are_told_and_nothing_is_shown(
    served: Served, tmp_path: Path
) -> None:
    gold = MirroredGold(LosesRows(served.url), tmp_path / "copies")
    with pytest.raises(ServingError, match="expected 8 rows, found 7"):
        gold.refresh()
    with pytest.raises(BuildError, match="no build yet"), gold.pinned():
        pass
    assert [path.name for path in (tmp_path / "copies").glob("*/*")] == ["copy.lock"]


def test_refusals_are_one_line(served: Served, cluster: Cluster, tmp_path: Path) -> None:
    cluster.run("create database empty")
    for url, said in (
        (cluster.url("page", "empty"), "no build yet: run `python -m dbt_stocks publish --to"),
        (served.url.replace(cluster.password, "wrong"), "password authentication failed"),
        ("postgresql://nobody@127.0.0.1:1/served", "onnection refused"),
        (f"page:{cluster.password}@host/served", "SERVING_READER_URL: expected postgresql://"),
    ):
        with pytest.raises(TapehouseError, match=re.escape(said)) as error:
            MirroredGold(PostgresGold(url), tmp_path / "copies").start()
        assert "\n" not in str(error.value)
        assert cluster.password not in str(error.value)
    cluster.run("drop database empty with (force)")


@dataclass
class Fake:
    """A source that a test holds in its hands."""

    build: str = "b1"
    error: Exception | None = None
    copies: int = 0
    name: str = "fake"
    closed: int = 0

    def build_id(self) -> str:
        if self.error:
            raise self.error
        return self.build

    def copy(self, db: duckdb.DuckDBPyConnection, tables: Mapping[str, Table]) -> Build:
        self.copies += 1
        at = MOMENT + timedelta(minutes=self.copies)
        db.execute("insert into gold.gold_kpi (symbol, build_id) values ('IBM', ?)", [self.build])
        return Build(self.build, at, at, at, None, None, self.copies)

    def close(self) -> None:
        self.closed += 1


def built(gold: MirroredGold) -> str:
    with gold.pinned() as build:
        return build.build_id()


class Watch:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_source_that_is_silent_too_long_is_not_shown_as_published(tmp_path: Path) -> None:
    source, watch = Fake(), Watch()
    gold = MirroredGold(source, tmp_path, patience_s=60, monotonic=watch)
    gold.refresh()
    source.error = ServingAwayError("PostgreSQL: it is away")
    watch.now += 59
    with pytest.raises(ServingAwayError):
        gold.refresh()
    assert built(gold) == "b1"
    watch.now += 2
    with pytest.raises(BuildError, match="no answer for 61 s"), gold.pinned():
        pass
    source.error = None
    gold.refresh()
    assert (built(gold), source.copies) == ("b1", 1)
    gold.close()
    assert source.closed == 1


@pytest.mark.parametrize("error", [ServingAwayError("it is away"), ValueError("a fault of ours")])
def test_following_outlives_every_error_and_tells_it_once(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    source = Fake()
    gold = MirroredGold(source, tmp_path, every_s=0.01, patience_s=0.2)
    with caplog.at_level(logging.WARNING):
        gold.start()
        source.error = error
        time.sleep(0.5)
        with pytest.raises(BuildError, match=str(error)), gold.pinned():
            pass
        source.error, source.build = None, "b2"
        wait_until(lambda: shown(gold) == "b2")
    gold.close()
    assert caplog.text.count("gold is not followed: ") == 1


def test_of_two_processes_one_copies(tmp_path: Path) -> None:
    source = Fake()
    gold = MirroredGold(source, tmp_path)
    (tmp_path / "fake").mkdir()
    with FileLock(tmp_path / "fake" / "copy.lock"):
        with pytest.raises(BuildError, match="another process copies build b1"):
            gold.refresh()
        assert source.copies == 0
    gold.refresh()
    MirroredGold(source, tmp_path).refresh()
    assert (built(gold), source.copies) == ("b1", 1)
    gold.close()


def test_what_a_killed_copy_left_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    folder.mkdir()
    for name in (".copy.tmp.duckdb", ".copy.tmp.duckdb.wal", ".gold-b1.duckdb.tmp"):
        (folder / name).write_bytes(b"half")
    gold = MirroredGold(Fake(), tmp_path)
    gold.refresh()
    assert built(gold) == "b1"
    assert {path.name for path in folder.iterdir()} == {"copy.lock", "current", "gold-b1.duckdb"}
    gold.close()


def shown(gold: MirroredGold) -> str:
    try:
        return built(gold)
    except BuildError:
        return ""


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def snowflake(emulator: Emulator, tmp_path: Path) -> Iterator["Account"]:
    publish(tmp_path / "gold", 1)
    with emulator.connect(f"SCREENS_{next(_NUMBERS)}") as db:
        account = Account(db, SnowflakeSettings(account="emulator", host="127.0.0.1"))
        account.take(tmp_path / "gold" / "current")
        yield account


@dataclass
class Account:
    """Gold in a database of the emulator, and who reads it."""

    db: SnowflakeConnection
    settings: SnowflakeSettings

    def run(self, *statements: str) -> None:
        with self.db.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def take(self, file: Path) -> None:
        """Fill schema gold with what a published file has."""
        self.run("create or replace schema gold")
        with duckdb.connect(file, read_only=True) as gold, self.db.cursor() as cursor:
            for table in TABLES.values():
                columns = table.columns.values()
                made = ", ".join(f"{c.name} {c.type_in('snowflake')}" for c in columns)
                cursor.execute(f"create table gold.{table.name} ({made})")
                names = ", ".join(f'"{c.name}"' for c in columns)
                for row in gold.execute(f"select {names} from gold.{table.name}").fetchall():
                    values = ", ".join(map(literal, row))
                    cursor.execute(f"insert into gold.{table.name} select {values}")
            [build] = gold.execute(f"select {', '.join(_FIELDS)} from ops.builds").fetchall()
            Build(*build).record_in(SnowflakeSession(self.db), "gold.published_build")

    def source(self) -> SnowflakeSource:
        return SnowflakeSource(self.settings, connect=lambda: self.db)


def literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value or (value is False and "false") or "null").lower()
    if isinstance(value, float):
        return f"'{value!r}'::float"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
        return f"'{text}'".replace("\r", "\\r")
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'::timestamp_ntz"
    return f"'{value}'::date" if isinstance(value, date) else str(value)


def test_snowflake_is_copied_value_by_value(snowflake: Account, tmp_path: Path) -> None:
    gold = MirroredGold(snowflake.source(), tmp_path / "copies")
    gold.refresh()
    [link] = (tmp_path / "copies").glob("*/current")
    assert rows(link) == rows(tmp_path / "gold" / "current")
    gold.close()


@pytest.mark.parametrize(
    "change",
    [
        "update gold.published_build set build_id = 'b2'",
        # Another one came, and a rollback brought this one back.
        "update gold.published_build set reason = 'went from b2 to b1'",
    ],
)
def test_what_is_swapped_while_it_is_copied_is_not_shown(
    snowflake: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    source = snowflake.source()
    fill = source._fill

    def swapping(db: duckdb.DuckDBPyConnection, table: Table) -> None:
        fill(db, table)
        if table.name == "gold_kpi":
            snowflake.run(change)

    monkeypatch.setattr(source, "_fill", swapping)
    gold = MirroredGold(source, tmp_path / "copies")
    with pytest.raises(BuildError, match="was published while b1 was copied"):
        gold.refresh()
    with pytest.raises(BuildError, match="no build yet"), gold.pinned():
        pass
    gold.close()


def test_rows_that_snowflake_does_not_send_are_told(
    snowflake: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = SnowflakeCursor.fetch_arrow_batches

    def losing(cursor: SnowflakeCursor) -> Iterator[pa.Table]:
        for batch in fetch(cursor):
            yield batch.slice(1)

    monkeypatch.setattr(SnowflakeCursor, "fetch_arrow_batches", losing)
    gold = MirroredGold(snowflake.source(), tmp_path / "copies")
    with pytest.raises(BuildError, match=r"expected \d+ rows, found"):
        gold.refresh()
    gold.close()


def test_rows_of_another_build_are_not_shown(snowflake: Account, tmp_path: Path) -> None:
    snowflake.run("update gold.gold_kpi set build_id = 'b0'")
    gold = MirroredGold(snowflake.source(), tmp_path / "copies")
    with pytest.raises(BuildError, match="expected rows of build b1, found some of b0"):
        gold.refresh()
    gold.close()


def test_the_page_follows_postgres(served: Served, tmp_path: Path) -> None:
    """The page as a process: the first build at once, the next one within ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    environment = {"SERVING_READER_URL": served.url, "TAPEHOUSE_STATE_DIR": str(tmp_path / "state")}
    page = subprocess.Popen(
        [sys.executable, "-m", "dashboards.web", "--gold", "postgres", "--port", str(port)],
        env=os.environ | environment,
        text=True,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: is_shown(port, "b1"), 90)
        served.publish(2)
        wait_until(lambda: is_shown(port, "b2"), 60)
    finally:
        page.send_signal(signal.SIGINT)
        _, said = page.communicate(timeout=30)
    assert "Traceback" not in said


def is_shown(port: int, build_id: str) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(json.load(answer)["build_id"] == build_id)
    except OSError:
        return False


def test_the_page_says_in_one_line_what_is_not_set(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboards.web", "--gold", "postgres"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: SERVING_READER_URL is not set: expected postgresql://")
