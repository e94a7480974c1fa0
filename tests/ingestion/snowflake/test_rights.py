"""Who may do what: the table is what the SQL says, and is as little as it should be."""

import re

import pytest
import yaml

from ingestion.settings import ROOT
from ingestion.snowflake import rights as rights_file
from ingestion.snowflake.rights import Right
from tests.ingestion.snowflake.conftest import Shell
from tests.ingestion.snowflake.statements import UnknownStatementError, read, rights
from tests.ingestion.snowflake.test_scripts import everything, scripts_of

README = ROOT / "infra" / "snowflake" / "README.md"


@pytest.fixture
def derived(env: Shell) -> list[Right]:
    """The rights of every role, as the SQL gives them."""
    return [
        right
        for script in scripts_of(env)
        for statement in script.statements()
        for right in rights(read(statement))
    ]


def test_the_table_is_what_the_sql_gives(derived: list[Right]) -> None:
    assert sorted(derived) == rights_file.load()
    assert len(set(derived)) == len(derived)


def test_each_user_has_its_own_role_alone(env: Shell) -> None:
    granted = {sql for sql in everything(env) if sql.startswith("grant role ")}

    assert granted == {
        f"grant role STOCKS_MDS_{role} to {whom}"
        for role in ("LOADER", "TRANSFORMER", "READER")
        for whom in ("role sysadmin", f"user STOCKS_MDS_{role}")
    }


def test_the_reader_sees_published_gold_and_no_more(derived: list[Right]) -> None:
    mine = [right for right in derived if right.role == "READER"]

    assert {right.privilege for right in mine} == {"usage", "select"}
    assert {right.place for right in mine} == {"READER_WH", "", "gold"}


def test_the_loader_appends_and_cannot_see_gold(derived: list[Right]) -> None:
    """Its one UPDATE is of the lock's row."""
    changed = [right for right in derived if right.privilege == "update"]
    mine = [right for right in derived if right.role == "LOADER" and right not in changed]

    assert [(right.role, right.place) for right in changed] == [("LOADER", "ops.load_lock")]
    assert {right.privilege for right in mine} == {"usage", "select", "insert", "read", "write"}
    assert {right.place.partition(".")[0] for right in mine} == {"LOADER_WH", "", "common", "ops"}


def test_the_transformer_changes_nothing_that_was_loaded(derived: list[Right]) -> None:
    raw = {
        (right.kind, right.privilege)
        for right in derived
        if right.role == "TRANSFORMER" and right.place.partition(".")[0] == "common"
    }

    assert raw == {("schema", "usage"), ("all tables", "select"), ("future tables", "select")}
    assert not any(r.role == "TRANSFORMER" and "ledger" in r.place for r in derived)


def test_nobody_but_gold_s_publisher_owns_by_grant_and_none_grants_on(
    derived: list[Right],
) -> None:
    more = {"ownership", "all", "all privileges", "manage grants"}

    assert [right for right in derived if right.privilege in more] == [
        Right("TRANSFORMER", "schema", "gold", "ownership")
    ]


def test_what_is_there_and_what_comes_later_have_the_same_rights(derived: list[Right]) -> None:
    """A table made before its grant, or after it: both orders happen.

    But for gold: what comes there comes with a publication, which gives the rights.
    """
    reach = {"all": set[tuple[str, ...]](), "future": set[tuple[str, ...]]()}
    for right in derived:
        first, _, kinds = right.kind.partition(" ")
        if first in reach and kinds != "file formats" and right.place != "gold":
            reach[first].add((right.role, kinds, right.place, right.privilege))

    assert reach["all"] == reach["future"]
    assert reach["all"]


def test_every_schema_that_dbt_builds_in_is_made_and_may_be_built_in(derived: list[Right]) -> None:
    project = (ROOT / "dbt_stocks" / "dbt_project.yml").read_text()
    built = {"silver", *re.findall(r"\+schema: (\w+)", project)}
    allowed = {
        right.place
        for right in derived
        if right.role == "TRANSFORMER" and right.privilege in ("create view", "ownership")
    }

    assert built | {"gold"} == allowed


@pytest.mark.parametrize(
    "statement",
    [
        "grant all privileges on database STOCKS_MDS to role PUBLIC",
        "grant select on all tables in schema STOCKS_MDS.gold to role PUBLIC",
        "grant select on future tables in database STOCKS_MDS to role STOCKS_MDS_READER",
        "grant select on all tables in schema OTHER.gold to role STOCKS_MDS_READER",
        "grant role STOCKS_MDS_LOADER to role PUBLIC",
        "grant role ACCOUNTADMIN to user STOCKS_MDS_LOADER",
        "alter user ADA set default_role = STOCKS_MDS_LOADER",
        "grant usage on warehouse STOCKS_MDS_READER_WH to role STOCKS_MDS_READER with grant option",
        "create user if not exists X password = 'x'",
        "alter user STOCKS_MDS_LOADER set password = 'x'",
        "alter warehouse STOCKS_MDS_READER_WH set warehouse_size = 'x6large'",
        "grant ownership on future tables in schema STOCKS_MDS.gold to role STOCKS_MDS_READER "
        "copy current grants",
        "delete from STOCKS_MDS.ops.load_ledger",
        "call x()",
        "execute immediate 'drop database STOCKS_MDS'",
        "create or replace procedure x() returns varchar language sql as 'select 1'",
    ],
)
def test_a_statement_of_another_form_is_refused(statement: str) -> None:
    with pytest.raises(UnknownStatementError):
        list(rights(read(statement)))


def test_the_command_shows_the_table(shell: Shell) -> None:
    found = shell.run("rights")

    assert found.returncode == 0, found.stderr
    for role, name, privileges in rights_file.table(rights_file.load()):
        assert re.search(rf"{role} +{re.escape(name)} +{re.escape(privileges)} *\n", found.stdout)


def test_the_readme_has_the_table() -> None:
    rows = [
        f"| {role} | {name} | {privileges} |"
        for role, name, privileges in rights_file.table(rights_file.load())
    ]

    assert "\n".join(rows) in README.read_text()


def test_the_readme_has_what_is_exercised() -> None:
    known = yaml.safe_load((README.parent / "exercised.yml").read_text())
    for what in ("statements", "features"):
        rows = [
            f"| {name} | {'yes' if row['exercised'] else 'no'} | {row['why']} |"
            for name, row in known[what].items()
        ]
        assert "\n".join(rows) in README.read_text()
