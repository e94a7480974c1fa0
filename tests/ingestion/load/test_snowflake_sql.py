"""The very statements of a load, for readers and for Snowflake's grammar; the emulator takes more.

`GOLDEN=write pytest tests/ingestion/load/test_snowflake_sql.py` writes the file anew.
"""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from ingestion.load import snowflake_warehouse
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_sql import literal
from tests.emulator.process import Emulator
from tests.ingestion.load.account import BARS, QUOTES, Buckets, Stage, new_account
from tests.ingestion.load.lake import bars
from tests.ingestion.load.objects import line

GOLDEN = Path(__file__).with_name("snowflake_statements.sql")
# What sqlglot has no grammar of is compared with the documentation's, by hand.
LOAD = UUID(int=10)
BY_HAND = {
    f"remove @common.incoming/{table}/{LOAD.hex}/"
    for table in ("bronze_stock_quotes_raw", "bars_raw")
} | {"list @common.incoming"}
DDL = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Use)


@pytest.fixture(scope="module")
def recorded(emulator: Emulator) -> Iterator[dict[str, list[str]]]:
    """Statements of each lane and stage; a refused line is among the quotes."""
    found: dict[str, list[str]] = {}
    execute = Session.execute
    buckets = Buckets(emulator.buckets)

    def load(stage: Stage, lane: str) -> None:
        for account in new_account(emulator):
            with account.open(buckets.source(stage)) as warehouse:
                if lane == "quotes":
                    files = [buckets.put(0, [line(0)]), buckets.put(1, [b"no json", line(2)])]
                    warehouse.load_lines(QUOTES, files)
                else:
                    added = buckets.add("bars/a.parquet", bars("AAPL"), snapshot=7)
                    warehouse.load_rows(BARS, [added], 8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snowflake_warehouse, "uuid4", lambda: LOAD)
        for stage, lane in (
            ("external", "quotes"),
            ("internal", "quotes"),
            ("external", "bars"),
            ("internal", "bars"),
        ):
            statements = found.setdefault(f"{lane}, {stage} stage", [])

            def recording(
                session: Session, statement: str, to: list[str] = statements
            ) -> list[tuple[Any, ...]]:
                to.append(re.sub(r"file:///\S+/tapehouse-load-\w+", "file:///folder", statement))
                return execute(session, statement)

            patch.setattr(Session, "execute", recording)
            load(stage, lane)  # type: ignore[arg-type]
    yield found


def test_the_statements_are_those_of_the_golden_file(recorded: dict[str, list[str]]) -> None:
    text = "\n".join(
        f"-- {name}\n" + "".join(f"{statement};\n" for statement in statements)
        for name, statements in recorded.items()
    )
    if os.environ.get("GOLDEN") == "write":
        GOLDEN.write_text(text)

    assert text == GOLDEN.read_text()


def test_every_statement_is_snowflake_s_grammar(
    recorded: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="sqlglot")
    for statement in all_of(recorded) - BY_HAND:
        assert not isinstance(sqlglot.parse_one(statement, read="snowflake"), exp.Command)


def test_no_ddl_stands_between_begin_and_commit(recorded: dict[str, list[str]]) -> None:
    """Any of it would commit, and a kill after it would leave rows without a ledger entry."""
    for name, statements in recorded.items():
        within = statements[statements.index("begin") + 1 : statements.index("commit")]
        kinds = [type(sqlglot.parse_one(statement, read="snowflake")) for statement in within]

        assert kinds.count(exp.Merge) == 1 and exp.Insert in kinds, name
        assert set(kinds) <= {exp.Insert, exp.Merge, exp.Select, exp.Update}, name
        assert within[1].startswith("update ops.load_lock"), name
        for other in (*statements[: statements.index("begin")],):
            assert not re.match(r"(insert|merge) into (common\.\w+_raw|ops\.)", other), name


def test_copy_is_never_forced_and_goes_into_temporary_tables_alone(
    recorded: dict[str, list[str]],
) -> None:
    copies = [s for s in all_of(recorded) if s.startswith("copy")]

    assert len(copies) >= 4
    for copy in copies:
        assert "force" not in copy and "purge" not in copy
        assert copy.startswith("copy into common.loading_")
        assert "files = (" in copy and "file_format = (format_name = 'common." in copy
    made = [s for s in all_of(recorded) if s.startswith("create")]
    assert all(statement.startswith("create or replace temporary table") for statement in made)


def test_names_are_quoted_in_capitals(recorded: dict[str, list[str]]) -> None:
    """Some are reserved words of Snowflake's, and a quoted name in small letters is another one."""
    for statement in all_of(recorded):
        for token in sqlglot.tokenize(statement, read="snowflake"):
            if token.token_type is TokenType.IDENTIFIER:
                assert token.text == token.text.upper(), statement


def test_a_literal_says_what_it_was_given() -> None:
    for text in ("plain", "it's", "a\\'b", "\\", "'; drop table x; --", "é\n"):
        parsed = sqlglot.parse_one(f"select {literal(text)}", read="snowflake")
        [found] = parsed.find_all(exp.Literal)

        assert found.this == text
    assert literal(None) == "null" and literal(7) == "7"


def all_of(recorded: dict[str, list[str]]) -> set[str]:
    return {statement for statements in recorded.values() for statement in statements}
