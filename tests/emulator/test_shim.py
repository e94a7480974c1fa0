"""What the shim promises of the emulator, asked through the real connector."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import ProgrammingError

from tests.emulator.process import Emulator

ANSWERS = {
    "select rtrim('a,b,', ',')": "a,b",
    "select try_cast('2013-13-04T15:00:00Z' as timestamp)": None,
    "select cast(null as timestamp)": None,
    "select max(seen_at) from (select cast('2013-03-04 15:00:00.000001' as timestamp) as seen_at "
    "union all select null)": datetime(2013, 3, 4, 15, 0, 0, 1),  # noqa: DTZ001 - as Snowflake
    "select sum(price) from (select cast(90071992547409.930001 as decimal(20, 6)) as price)":
        Decimal("90071992547409.930001"),
    "select typeof(parse_json('1'))": "INTEGER",
    "select typeof(parse_json('{}')['a'])": None,
    "select typeof(parse_json('null'))": "NULL_VALUE",
    "select check_json('{}')": None,
    "select check_json('{') is null": False,
    "select current_transaction()": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def connection(emulator: Emulator) -> Iterator[SnowflakeConnection]:
    with emulator.connect("SHIM") as connection:
        yield connection


def answer(connection: SnowflakeConnection, sql: str) -> Any:
    with connection.cursor() as cursor:
        rows = cursor.execute(sql).fetchall()
    return rows[0][0]


@pytest.mark.parametrize("sql", ANSWERS)
def test_the_answer_is_snowflake_s(connection: SnowflakeConnection, sql: str) -> None:
    assert answer(connection, sql) == ANSWERS[sql]


def test_rows_are_merged_by_bare_names_between_begin_and_commit(
    connection: SnowflakeConnection,
) -> None:
    for statement in (
        "create schema s",
        "create table s.t as select 1 as a, 1 as b",
        "create temporary table s.t__dbt_tmp as select 1 as a, 2 as b union all select 2, 3",
        '/* {"app": "dbt"} */\n-- first\nbegin',
        "merge into s.t as target using s.t__dbt_tmp as source on source.a = target.a "
        "when matched then update set b = source.b "
        "when not matched then insert (a, b) values (a, b)",
        "commit",
        "grant select on all tables in schema s to role reader",
    ):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with connection.cursor() as cursor:
        assert cursor.execute("select a, b from s.t order by a").fetchall() == [(1, 2), (2, 3)]


def test_schemas_are_cloned_and_swapped_with_their_views(connection: SnowflakeConnection) -> None:
    for statement in (
        "create schema shown",
        "create table shown.t as select 1 as a",
        "create table shown.gone as select 1 as a",
        "create schema made",
        "create table made.t as select 2 as a",
        # As in Snowflake, a table without a schema is of the view's own.
        "create view made.v as select a from t",
        "create or replace schema next clone made",
        "create or replace schema next clone made",
        "update next.t set a = 3",
        "alter schema shown swap with next",
        "create or replace transient table made.t clone shown.t",
    ):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    assert answer(connection, "select a from shown.v") == 3
    assert answer(connection, "select a from next.gone") == 1
    assert answer(connection, "select a from made.v") == 3, "replaced, and its view sees it"
    with pytest.raises(ProgrammingError, match=r"(?i)gone"):
        answer(connection, "select a from shown.gone")
    with pytest.raises(ProgrammingError):
        answer(connection, "alter schema shown swap with nothing")
    assert answer(connection, "select a from shown.v") == 3


def test_a_clustered_table_of_declared_columns_has_its_rows(
    connection: SnowflakeConnection,
) -> None:
    for statement in (
        "create schema clustered",
        "create or replace transient table clustered.t (day date, n decimal(18, 6)) as (\n"
        "    select * from (\n"
        "        select day, n from (\n"
        "            with days as (select cast('2013-03-05' as date) as day, 2 as n)\n"
        "            select cast(date_trunc('week', day) as date) as day, n from days\n"
        "            union all select dateadd(day, n, day), n from days\n"
        "        ) as model_subq\n"
        "    )\n"
        "    order by (day, n)\n"
        ")",
        "alter table clustered.t cluster by (day, n)",
    ):
        with connection.cursor() as cursor:
            cursor.execute(statement)

    with connection.cursor() as cursor:
        assert cursor.execute("select day, n from clustered.t order by 1").fetchall() == [
            (date(2013, 3, 4), Decimal(2)),
            (date(2013, 3, 7), Decimal(2)),
        ]


def test_sessions_may_merge_at_once(emulator: Emulator) -> None:
    def merge(table: str) -> None:
        with emulator.connect("SHIM") as session, session.cursor() as cursor:
            cursor.execute("use schema many")
            for _ in range(8):
                cursor.execute(
                    f"merge into many.{table} as target using many.news as source "
                    "on source.a = target.a when matched then update set b = source.b "
                    "when not matched then insert (a, b) values (a, b)"
                )

    tables = ("one", "two", "three", "four")
    with emulator.connect("SHIM") as connection, connection.cursor() as cursor:
        cursor.execute("create schema many")
        cursor.execute("create table many.news as select 1 as a, 2 as b union all select 2, 3")
        for table in tables:
            cursor.execute(f"create table many.{table} as select 1 as a, 1 as b")
    with ThreadPoolExecutor(len(tables)) as pool:
        assert list(pool.map(merge, tables)) == [None] * len(tables)


CAUSES = {
    "select 1 from": "Expected table name",
    "create hybrid table t (a int)": "syntax error",
    # Failures that fakesnow does not expect: of running a statement, and of describing its result.
    "select 9223372036854775807 * 2": "Overflow",
    "select interval '1 day'": "interval",
}


@pytest.mark.parametrize("sql", CAUSES)
def test_what_it_cannot_do_is_an_error_at_once(connection: SnowflakeConnection, sql: str) -> None:
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match=CAUSES[sql]):
        answer(connection, sql)

    assert time.monotonic() - started < 5
