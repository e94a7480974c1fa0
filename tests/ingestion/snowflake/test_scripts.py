"""What bootstrap runs: the plan as a golden file, each statement repeatable, values checked."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from ingestion.errors import SettingsError
from ingestion.load import duckdb_warehouse
from ingestion.settings import SnowflakeSettings, StoreSettings
from ingestion.snowflake import scripts
from ingestion.snowflake.connection import PARAMETERS
from ingestion.snowflake.scripts import Script
from tests.ingestion.snowflake.conftest import Shell
from tests.ingestion.snowflake.statements import Statement, read

GOLDEN = Path(__file__).with_name("plan.sql")
ARN = "arn:aws:iam::123456789012:role/tapehouse-snowflake"


@pytest.fixture
def whole(env: Shell) -> list[Script]:
    """Every script, those of the external stages too."""
    return scripts_of(env)


def scripts_of(env: Shell) -> list[Script]:
    """Every script of bootstrap, with all that settings may add."""
    env.variables["SNOWFLAKE_STORAGE_ROLE_ARN"] = ARN
    # Named as rights.yml has them, behind the database's name.
    for name in ("SNOWFLAKE_SILVER_WAREHOUSE", "SNOWFLAKE_GOLD_WAREHOUSE"):
        env.variables[name] = f"STOCKS_MDS_{name}"
    env.write()
    layers = scripts.layer_warehouses(SnowflakeSettings.load())
    return scripts.bootstrap(_values(), external=True, layer_warehouses=layers)


def everything(env: Shell) -> list[str]:
    """Every statement that a command of ours may run, for one database."""
    listed = [*scripts_of(env), _teardown()]
    return [statement for script in listed for statement in script.statements()]


def _values() -> dict[str, str]:
    return scripts.values(SnowflakeSettings.load(), StoreSettings.load())


def _read(listed: Sequence[Script]) -> list[Statement]:
    return [read(statement) for script in listed for statement in script.statements()]


def test_the_plan_is_the_golden_one(shell: Shell) -> None:
    """A change of the SQL is to be seen as a change of this file: `bootstrap --plan > plan.sql`."""
    for who in scripts.SERVICE_USERS:
        del shell.variables[f"SNOWFLAKE_{who.upper()}_PRIVATE_KEY_PATH"]
    shell.variables["SNOWFLAKE_STORAGE_ROLE_ARN"] = ARN
    shell.variables["SNOWFLAKE_SILVER_WAREHOUSE"] = "big_wh"
    shell.variables["SNOWFLAKE_GOLD_WAREHOUSE"] = "BIG_WH"

    found = shell.run("bootstrap", "--plan")

    assert found.returncode == 0, found.stderr
    assert found.stdout == GOLDEN.read_text()


def test_a_plan_needs_no_account_no_key_and_no_address(shell: Shell) -> None:
    shell.variables.clear()

    found = shell.run("bootstrap", "--plan")

    assert found.returncode == 0, found.stderr
    assert "rsa_public_key = '<public key of SNOWFLAKE_READER_PRIVATE_KEY_PATH>'" in found.stdout
    assert "allowed_ip_list = ('<SNOWFLAKE_ALLOWED_IPS>')" in found.stdout
    assert found.stdout.rstrip().endswith("05_external_stages.sql, 08_external_grants.sql")


def test_statements_are_those_that_snowflake_s_tokens_make(whole: list[Script]) -> None:
    for script in whole:
        ours = [" ".join(statement.split()) for statement in script.statements()]
        theirs = sqlglot.tokenize(script.text, dialect="snowflake")
        ends = [token.end for token in theirs if token.text == ";"]
        assert len(ours) == len(ends), script.name


def test_every_statement_may_be_run_again(whole: list[Script]) -> None:
    for statement in _read([*whole, _teardown()]):
        assert statement.is_repeatable, statement.sql
        assert " or replace " not in statement.sql


def test_nothing_is_dropped_but_by_teardown(whole: list[Script]) -> None:
    kinds = {statement.kind for statement in _read(whole)}
    dropped = {statement.kind for statement in _read([_teardown()])}

    assert not any(kind.startswith("drop") for kind in kinds)
    assert all(kind.startswith("drop") or kind == "use role" for kind in dropped)


def test_teardown_drops_all_that_is_made(whole: list[Script]) -> None:
    """What lies in the database goes with it."""
    made = r"create (\w+|resource monitor|storage integration|network policy) if not exists (\S+)"
    created = {
        (found[1].split()[-1], found[2])
        for statement in _read(whole)
        if (found := re.match(made, statement.sql)) and "." not in found[2]
    }
    dropped = {
        (found[1].split()[-1], found[2].replace("SCRATCH_X", "STOCKS_MDS"))
        for statement in _read([_teardown()])
        if (found := re.match(r"drop ([\w ]+) if exists (\S+)", statement.sql))
    }

    assert len(created) == 15
    assert dropped == created


def _teardown() -> Script:
    return scripts.teardown(SnowflakeSettings(database="SCRATCH_X"))


def test_a_table_of_the_load_has_the_columns_that_duckdb_has(whole: list[Script]) -> None:
    """Names, types and NOT NULL: whoever adds a column to one file is told of the other.

    The lock is Snowflake's alone: DuckDB's file has one writer.
    """
    theirs = Path(duckdb_warehouse.__file__).with_name("duckdb.sql").read_text()
    [ours] = [script for script in whole if script.name == scripts.TABLES]

    lock = {"ops.load_lock.holder TEXT True", "ops.load_lock.taken_at TIMESTAMPTZ True"}
    assert _columns(ours.text, "snowflake") - lock == _columns(theirs, "duckdb")
    assert len(_columns(theirs, "duckdb")) > 80


def _columns(text: str, dialect: str) -> set[str]:
    """Return `table.column type`, as DuckDB writes types."""
    found = set()
    for tree in filter(None, sqlglot.parse(text, dialect=dialect)):
        for column in tree.find_all(exp.ColumnDef):
            table = tree.find(exp.Table) or exp.Table()
            name = "row_count" if column.name == "rows" else column.name
            required = bool(column.find(exp.NotNullColumnConstraint))
            kind = column.kind.sql("duckdb") if column.kind else ""
            found.add(f"{table.db}.{table.name}.{name} {kind} {required}")
    return found


def test_account_s_highest_role_makes_what_no_other_may_and_no_more(whole: list[Script]) -> None:
    role, done = "", set()
    for statement in _read(whole):
        if statement.kind == "use role":
            role = statement.sql.rpartition(" ")[2]
        elif role == "accountadmin":
            done.add(statement.kind)

    assert done == {
        "create resource monitor",
        "alter resource monitor",
        "alter warehouse",
        "create storage integration",
        "alter storage integration",
        "grant privileges",
    }


def test_every_script_says_as_whom_it_runs(whole: list[Script]) -> None:
    for script in whole:
        assert script.statements()[0].startswith("use role "), script.name


@pytest.mark.parametrize("command", ["teardown", "teardown --plan"])
@pytest.mark.parametrize("database", ["STOCKS_MDS", "MY_SCRATCH_X", "SCRATCHED"])
def test_only_a_scratch_database_is_torn_down(shell: Shell, command: str, database: str) -> None:
    shell.variables["SNOWFLAKE_DATABASE"] = database

    found = shell.run(*command.split())

    assert (found.returncode, found.stdout) == (1, "")
    assert f"begins with SCRATCH_, found {database}" in found.stderr


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ("203.0.113.7", "'203.0.113.7'"),
        (" 203.0.113.0/24, 198.51.100.1 ", "'203.0.113.0/24', '198.51.100.1'"),
    ],
)
def test_addresses_are_listed(env: Shell, addresses: str, expected: str) -> None:
    env.variables["SNOWFLAKE_ALLOWED_IPS"] = f"'{addresses}'"
    env.write()

    assert _values()["allowed_ips"] == expected


@pytest.mark.parametrize("addresses", ["", "203.0.113.7')", "203.0.113.7/8", "::1", "here"])
def test_what_is_no_address_is_refused_before_anything_is_asked(env: Shell, addresses: str) -> None:
    env.variables["SNOWFLAKE_ALLOWED_IPS"] = f'"{addresses}"'
    env.write()

    with pytest.raises(SettingsError, match="SNOWFLAKE_ALLOWED_IPS"):
        _values()


@pytest.mark.parametrize("addresses", ["0.0.0.0/0", "203.0.113.7, 203.0.0.0/15"])
def test_a_network_too_wide_to_keep_anybody_out_is_refused(env: Shell, addresses: str) -> None:
    env.variables["SNOWFLAKE_ALLOWED_IPS"] = addresses
    env.write()

    with pytest.raises(SettingsError, match="expected networks of /16 or narrower, found"):
        _values()
    env.variables["SNOWFLAKE_ALLOWED_IPS"] = "203.0.0.0/16"
    env.write()
    assert _values()["allowed_ips"] == "'203.0.0.0/16'"


def test_each_warehouse_has_a_monitor_of_its_own(whole: list[Script]) -> None:
    """A load that runs away suspends itself, and not those who read gold."""
    form = r"alter warehouse (\S+) set resource_monitor = (\S+)"
    under = {m[1]: m[2] for s in _read(whole) if (m := re.fullmatch(form, s.sql))}
    own = {name: monitor for name, monitor in under.items() if name.endswith("_WH")}

    assert own == {name: name.replace("_WH", "_MONITOR") for name in own}
    assert len(own) == len(set(own.values())) == 3
    assert {monitor for name, monitor in under.items() if name not in own} == {
        "STOCKS_MDS_TRANSFORMER_MONITOR"
    }


def test_every_user_has_the_parameters_that_our_sessions_set(whole: list[Script]) -> None:
    users = [s.sql for s in _read(whole) if s.kind == "alter user"]
    wanted = {name.lower(): str(value).lower() for name, value in PARAMETERS.items()}

    assert len(users) == 3
    for sql in users:
        set_there = dict(re.findall(r"(\w+) = '?([\w-]+)'?", sql.lower()))
        assert {name: set_there.get(name) for name in wanted} == wanted


def test_all_schemas_but_gold_are_managed_whenever_they_were_made(whole: list[Script]) -> None:
    sql = [s.sql for s in _read(whole)]
    made = {m[1] for one in sql if (m := re.match(r"create schema if not exists (\S+)", one))}
    managed = {m[1] for one in sql if (m := re.match(r"create schema.* (\S+) with managed", one))}
    altered = {m[1] for one in sql if (m := re.match(r"alter schema (\S+) enable managed", one))}

    assert made - {"STOCKS_MDS.gold"} == managed == altered


@pytest.mark.parametrize("arn", ["role/x", "arn:aws:iam::1:role/x", f"{ARN}'"])
def test_an_aws_role_is_one(env: Shell, arn: str) -> None:
    env.variables["SNOWFLAKE_STORAGE_ROLE_ARN"] = f'"{arn}"'
    env.write()

    with pytest.raises(SettingsError, match="SNOWFLAKE_STORAGE_ROLE_ARN"):
        SnowflakeSettings.load()
