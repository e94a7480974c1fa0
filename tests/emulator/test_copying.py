"""COPY of named files, PUT of many and REMOVE, asked through the real connector."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError

from tests.emulator.process import Emulator

JSON = "file_format = (type = json)"
BY_NAME = "file_format = (type = parquet) match_by_column_name = case_insensitive"


@dataclass
class Session:
    emulator: Emulator
    connection: SnowflakeConnection

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(sql).fetchall()]

    def put(self, bucket: str, name: str, content: bytes) -> None:
        path = self.emulator.buckets / bucket / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def session(emulator: Emulator) -> Iterator[Session]:
    with emulator.connect("COPYING") as connection:
        session = Session(emulator, connection)
        session.ask("create schema if not exists common")
        session.ask("create or replace stage common.outside url = 's3://bucket/'")
        session.ask("create or replace stage common.inside")
        session.ask("create or replace table common.lines (v variant, file varchar)")
        yield session


def lines(*texts: str) -> bytes:
    return zstandard.compress("".join(f"{text}\n" for text in texts).encode())


def copy(files: str, options: str = "") -> str:
    return (
        "copy into common.lines (v, file) from (select $1, metadata$filename from @common.outside) "
        f"files = ({files}) {JSON} {options}"
    )


def test_documents_come_with_the_file_s_path_in_its_bucket(session: Session) -> None:
    session.put("bucket", "a/g=1/1.jsonl.zst", lines('{"n":1}', '{"n":2}'))
    session.put("bucket", "a/2.jsonl.zst", lines('{"n":3}'))
    session.put("bucket", "a/not-named.jsonl.zst", lines('{"n":4}'))

    session.ask(copy("'a/g=1/1.jsonl.zst', 'a/2.jsonl.zst'"))

    found = session.ask("select v['n']::int, file from common.lines order by 1")
    assert found == [(1, "a/g=1/1.jsonl.zst"), (2, "a/g=1/1.jsonl.zst"), (3, "a/2.jsonl.zst")]


def test_a_file_that_does_not_parse_is_left_out_whole_or_stops_the_statement(
    session: Session,
) -> None:
    session.put("bucket", "bad/1.jsonl.zst", lines('{"n":1}', '{"n":'))
    session.put("bucket", "bad/2.jsonl.zst", lines('{"n":2}'))
    both = "'bad/1.jsonl.zst', 'bad/2.jsonl.zst'"

    with pytest.raises(ProgrammingError, match="JSON"):
        session.ask(copy(both))
    status = session.ask(copy(both, "on_error = skip_file"))

    assert [row[:3] for row in status] == [
        ("bad/1.jsonl.zst", "LOAD_FAILED", 0),
        ("bad/2.jsonl.zst", "LOADED", 1),
    ]
    assert session.ask("select v['n']::int from common.lines") == [(2,)]


def test_a_table_remembers_its_files_until_it_is_made_anew(session: Session) -> None:
    session.put("bucket", "once.jsonl.zst", lines('{"n":1}'))
    once = copy("'once.jsonl.zst'")

    statuses = [session.ask(once)[0][1] for _ in range(2)]
    session.ask("create or replace table common.lines (v variant, file varchar)")
    statuses.append(session.ask(once)[0][1])

    assert statuses == ["LOADED", "LOAD_SKIPPED", "LOADED"]
    assert session.ask("select count(*) from common.lines") == [(1,)]


def test_a_file_that_is_not_there_is_an_error(session: Session) -> None:
    with pytest.raises(ProgrammingError, match="was not found"):
        session.ask(copy("'nowhere.jsonl.zst'"))


def test_many_files_are_put_and_their_columns_matched_by_name(
    session: Session, tmp_path: Path
) -> None:
    at = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    tables = [
        pa.table({"symbol": ["A"], "seen_at": pa.array([at], pa.timestamp("us", "UTC"))}),
        pa.table({"more": [1], "SYMBOL": ["B"]}),
    ]
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    session.ask(
        "create or replace table common.bars (symbol varchar, seen_at timestamp_ntz, file varchar)"
    )

    session.ask(f"put 'file://{tmp_path}/*' @common.inside/day=1/ auto_compress = false")
    session.ask(
        "copy into common.bars from @common.inside/day=1/ files = ('0.parquet', '1.parquet') "
        f"{BY_NAME} include_metadata = (file = metadata$filename)"
    )

    found = session.ask("select symbol, seen_at, file from common.bars order by symbol")
    assert found == [
        ("A", at.replace(tzinfo=None), "day=1/0.parquet"),
        ("B", None, "day=1/1.parquet"),
    ]


def test_a_folder_of_a_stage_is_removed_and_no_other(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({}))
    for folder in ("one", "two"):
        session.ask(f"put 'file://{tmp_path}/*' @common.inside/{folder}/ auto_compress = false")

    session.ask("remove @common.inside/one/")

    assert [row[0] for row in session.ask("list @common.inside")] == ["inside/two/a.json"]


def test_statements_that_name_no_files_are_left_to_fakesnow(
    session: Session, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"symbol": ["A"]}), tmp_path / "all.parquet")
    session.ask("create or replace table common.all_files (symbol varchar)")
    session.ask(f"put 'file://{tmp_path}/*' @common.inside/all/ auto_compress = false")

    session.ask(f"copy into common.all_files from @common.inside/all/all.parquet {BY_NAME}")

    assert session.ask("select symbol from common.all_files") == [("A",)]
