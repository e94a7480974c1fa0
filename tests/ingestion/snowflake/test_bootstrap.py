"""Bootstrap by command: on the emulator twice, and what it says where a statement is refused."""

from pathlib import Path

import duckdb
import pytest
import yaml
from snowflake.connector import SnowflakeConnection

from ingestion.load import duckdb_warehouse
from ingestion.settings import ROOT
from tests.emulator import shim
from tests.emulator.process import Emulator
from tests.ingestion.snowflake.account import Account
from tests.ingestion.snowflake.conftest import DATABASE, Shell
from tests.ingestion.snowflake.statements import read
from tests.ingestion.snowflake.test_scripts import everything

EXERCISED = yaml.safe_load((ROOT / "infra/snowflake/exercised.yml").read_text())
Columns = dict[tuple[str, str], list[tuple[str, str]]]
# The reserved word that DuckDB's ledger has for a column.
RENAMED = {"rows": "row_count"}


@pytest.fixture
def there(shell: Shell, emulator: Emulator) -> Shell:
    """Commands that go to the emulator."""
    shell.variables["SNOWFLAKE_PORT"] = str(emulator.port)
    shell.variables["SNOWFLAKE_STORAGE_ROLE_ARN"] = "arn:aws:iam::123456789012:role/x"
    return shell


def columns(session: SnowflakeConnection) -> Columns:
    found: Columns = {}
    with session.cursor() as cursor:
        cursor.execute(
            "select table_schema, table_name, column_name, data_type from "
            f"{DATABASE}.information_schema.columns where table_schema in ('COMMON', 'OPS') "
            "order by table_schema, table_name, ordinal_position"
        )
        for schema, table, column, kind in cursor.fetchall():
            found.setdefault((schema.lower(), table.lower()), []).append((column.lower(), kind))
    return found


def test_the_whole_bootstrap_runs_twice_and_the_second_time_changes_nothing(
    there: Shell, emulator: Emulator
) -> None:
    first = there.run("bootstrap")
    with emulator.connect() as session:
        made = columns(session)
        with session.cursor() as cursor:
            cursor.execute(
                f"insert into {DATABASE}.ops.load_ledger values "
                "('t', 'f', null, 1, 2, 3, '2026-11-26 12:00:00'::timestamp_ntz)"
            )
    second = there.run("bootstrap")

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert len(first.stdout.splitlines()) == len(second.stdout.splitlines()) > 80
    assert "STOCKS_MDS is there" in first.stdout.splitlines()[-1]
    names = {table: [name for name, _ in listed] for table, listed in made.items()}
    assert names.pop(("ops", "load_lock")) == ["holder", "taken_at"]  # DuckDB's file has one writer
    assert names == {
        table: [RENAMED.get(name, name) for name in names] for table, names in in_duckdb().items()
    }
    with emulator.connect() as session, session.cursor() as cursor:
        assert columns(session) == made
        cursor.execute(f"select row_count from {DATABASE}.ops.load_ledger")
        assert cursor.fetchall() == [(1,)]
        cursor.execute(f"select holder from {DATABASE}.ops.load_lock")
        assert cursor.fetchall() == [("nobody",)]


def in_duckdb() -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    with duckdb.connect() as db:
        db.execute(Path(duckdb_warehouse.__file__).with_name("duckdb.sql").read_text())
        for schema, table, column in db.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal "
            "order by schema_name, table_name, column_index"
        ).fetchall():
            found.setdefault((schema, table), []).append(column)
    return found


def test_what_is_called_exercised_is_what_the_emulator_does_not_pass_over(env: Shell) -> None:
    kinds: dict[str, set[bool]] = {}
    for statement in map(read, everything(env)):
        kinds.setdefault(statement.kind, set()).add(not shim.is_passed_over(statement.sql))

    assert kinds == {kind: {row["exercised"]} for kind, row in EXERCISED["statements"].items()}


def test_a_refused_statement_is_named_and_ends_it(shell: Shell, account: Account) -> None:
    text = "SQL access control error: Insufficient privileges to operate on account 'ACME'"
    account.refused_statement = "create warehouse", 3001, text

    found = shell.run("bootstrap")

    assert found.returncode == 1
    [line] = found.stderr.splitlines()
    assert line.startswith("error: 02_warehouses.sql: create warehouse if not exists STOCKS_MDS_")
    assert "Insufficient privileges" in line
    assert "create warehouse" in account.statements[-1]


def test_a_statement_without_an_answer_is_one_line_too(shell: Shell, account: Account) -> None:
    """In a process of its own, whose standard error has what the connector logs too."""
    account.is_in_trouble = True
    shell.variables["SNOWFLAKE_NETWORK_TIMEOUT_S"] = "2"

    found = shell.start("bootstrap")

    assert (found.returncode, found.stdout) == (1, "")
    [line] = found.stderr.splitlines()
    assert line.startswith("error: 01_roles.sql: use role securityadmin: ") and "503" in line
    assert set(account.statements) == {"use role securityadmin"}


def test_a_scratch_database_is_torn_down(shell: Shell, account: Account) -> None:
    shell.variables["SNOWFLAKE_DATABASE"] = "SCRATCH_ADA"

    found = shell.run("teardown")

    assert found.returncode == 0, found.stderr
    assert "drop database if exists SCRATCH_ADA" in account.statements
    assert found.stdout.splitlines()[-1] == "SCRATCH_ADA is gone"


def test_without_addresses_or_a_key_nothing_is_asked(shell: Shell, account: Account) -> None:
    for name in ("SNOWFLAKE_ALLOWED_IPS", "SNOWFLAKE_READER_PRIVATE_KEY_PATH"):
        del shell.variables[name]
        found = shell.run("bootstrap")

        assert found.returncode == 1
        assert found.stderr.startswith("error: SNOWFLAKE_") and "is not set" in found.stderr
    assert account.logins == []
