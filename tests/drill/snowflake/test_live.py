"""The acceptance of a Snowflake account: refused, judged, and played as far as it goes here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from drill.outcome import Outcome
from drill.snowflake import account, trials
from drill.snowflake.acceptance import (
    BEYOND_THE_EMULATOR,
    NOT_EXERCISED,
    PARTS,
    TEARDOWN,
    Part,
    World,
    WrongError,
    played,
)
from drill.snowflake.trials import ALLOWED, REFUSED, TRIALS, Trial
from ingestion.errors import SettingsError, SnowflakeError
from ingestion.settings import ROOT, SnowflakeSettings
from ingestion.snowflake import rights
from tests.emulator import process
from tests.ingestion.snowflake.account import Account
from tests.ingestion.snowflake.conftest import Shell

DATABASE = "SCRATCH_ACCEPTANCE"


@pytest.mark.parametrize("name", ["STOCKS_MDS", "SCRATCH", "MY_SCRATCH_DB"])
def test_a_database_that_is_no_scratch_one_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"begins with SCRATCH_, found {name}"):
        account.require_scratch(SnowflakeSettings(database=name))


def test_another_database_is_refused_before_anything_is_asked(
    shell: Shell, account: Account
) -> None:
    shell.variables["SNOWFLAKE_DATABASE"] = "STOCKS_MDS"
    shell.write()

    found = subprocess.run(
        [sys.executable, "-m", "drill", "snowflake"],
        cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip

    assert found.returncode == 1
    assert found.stderr.startswith("error: SNOWFLAKE_DATABASE: ")
    assert found.stderr.rstrip().endswith("begins with SCRATCH_, found STOCKS_MDS")
    assert account.logins == []


def scratch(env: Shell) -> SnowflakeSettings:
    env.variables["SNOWFLAKE_DATABASE"] = DATABASE
    env.write()
    return SnowflakeSettings.load()


def test_what_is_not_given_is_made_for_a_scratch_database(env: Shell, tmp_path: Path) -> None:
    del env.variables["SNOWFLAKE_READER_PRIVATE_KEY_PATH"]
    settings = scratch(env)

    found = account.variables(settings, tmp_path / "keys")

    assert found["SNOWFLAKE_READER_PRIVATE_KEY_PATH"] == str(tmp_path / "keys" / "reader.p8")
    assert (tmp_path / "keys" / "reader.p8").stat().st_mode & 0o777 == 0o600
    for name in ("SNOWFLAKE_LOADER_PRIVATE_KEY_PATH", "SNOWFLAKE_ALLOWED_IPS"):
        assert found[name] == env.variables[name]
    assert found["SNOWFLAKE_STORAGE_ROLE_ARN"] == ""


def test_without_the_administrator_s_key_it_says_so(env: Shell, tmp_path: Path) -> None:
    del env.variables["SNOWFLAKE_ADMIN_PRIVATE_KEY_PATH"]

    with pytest.raises(SettingsError, match="SNOWFLAKE_ADMIN_PRIVATE_KEY_PATH is not set"):
        account.variables(scratch(env), tmp_path)


def test_only_the_emulator_is_taken_for_one() -> None:
    assert not account.is_emulated(SnowflakeSettings(account="a-b"))
    assert account.is_emulated(SnowflakeSettings(account="a-b", protocol="http"))


TABLE = re.compile(r"(?:from|into|update|alter table|on table) ([a-z_]+\.[a-z_]+)")


def test_no_statement_is_refused_for_a_table_that_nobody_has() -> None:
    known = {name for listed in ALLOWED.values() for sql in listed for name in TABLE.findall(sql)}
    named = {name for listed in REFUSED.values() for sql in listed for name in TABLE.findall(sql)}

    assert named <= known


def test_a_forbidden_statement_changes_no_row_where_it_is_let_through() -> None:
    for trial in TRIALS:
        if trial.statement.startswith(("insert", "update", "delete")):
            assert trial.statement.endswith(" where false")
        assert not trial.statement.startswith(("drop", "truncate", "merge"))


def test_what_is_tried_is_what_rights_yml_gives() -> None:
    """Of reading and writing rows: each table that is named is covered, or is not."""
    held = rights.load()
    verbs = {"select": "select", "insert": "insert", "update": "update", "delete": "delete"}
    # What TRANSFORMER makes is its own.
    made = {"silver", "gold_candidate", "ops"}
    for trial in TRIALS:
        verb, role = trial.statement.partition(" ")[0], trial.who.upper()
        if verb not in verbs:
            continue
        [place, *_] = TABLE.findall(trial.statement)
        schema = place.partition(".")[0]
        is_held = any(
            one.role == role and one.privilege == verbs[verb]
            and (one.kind, one.place) in {("table", place), ("all tables", schema)}
            for one in held
        )  # fmt: skip
        is_own = role == "TRANSFORMER" and schema in made and place != "ops.load_ledger"
        assert (is_held or is_own) != trial.is_refused, trial


def users_keys(env: Shell, there: Account) -> SnowflakeSettings:
    settings = scratch(env)
    for who in ("loader", "transformer", "reader"):
        there.keys[settings.user(who)] = there.keys[f"STOCKS_MDS_{who.upper()}"]  # type: ignore[arg-type]
    return settings


LOADER = [Trial("loader", "delete from common.bars_raw where false", is_refused=True)]
READER = [Trial("reader", "select count(*) from gold.gold_kpi", is_refused=False)]


@pytest.fixture
def there(env: Shell, account: Account) -> tuple[Account, SnowflakeSettings]:
    return account, users_keys(env, account)


def test_what_is_let_through_or_refused_against_the_rights_is_told(
    there: tuple[Account, SnowflakeSettings],
) -> None:
    served, settings = there

    assert trials.played(settings, READER) == []
    assert trials.played(settings, LOADER) == [
        f"{DATABASE}_LOADER may: delete from common.bars_raw where false"
    ]
    served.refused_statement = "select count", 2003, "Object does not exist or not authorized."
    [wrong] = trials.played(settings, READER)
    assert wrong.startswith(f"{DATABASE}_READER may not: select count(*) from gold.gold_kpi (")


@pytest.mark.parametrize("code", [2003, 2043, 3001])
def test_a_refusal_for_want_of_rights_is_one(
    there: tuple[Account, SnowflakeSettings], code: int
) -> None:
    served, settings = there
    served.refused_statement = "delete from", code, "no"

    assert trials.played(settings, LOADER) == []


def test_a_statement_that_fails_for_another_reason_proves_nothing(
    there: tuple[Account, SnowflakeSettings],
) -> None:
    served, settings = there
    served.refused_statement = "delete from", 1003, "SQL compilation error: syntax error"

    with pytest.raises(SnowflakeError, match="syntax error"):
        trials.played(settings, LOADER)


def red(_: World) -> list[str]:
    raise WrongError("expected this, found that")


def test_after_a_red_part_none_is_played_and_none_is_left_out(tmp_path: Path) -> None:
    asked: list[str] = []

    def green(world: World) -> list[str]:
        asked.append(world.settings.database)
        return ["a proof"]

    world = World(SnowflakeSettings(account="a", database=DATABASE, protocol="http"), tmp_path)
    parts = [Part("a", green), Part("b", green, "no such thing"), Part("c", red), Part("d", green)]
    said: list[str] = []

    outcomes = played(world, parts, said.append)

    verdicts = ["green", NOT_EXERCISED, "red", "not played"]
    assert [one.verdict for one in outcomes] == verdicts
    assert [one.reason for one in outcomes[2:]] == [
        "expected this, found that", "an earlier part is red",
    ]  # fmt: skip
    assert len(asked) == 1
    for verdict, part in zip(verdicts, parts, strict=True):
        assert any(line.startswith(f"{verdict:5} {part.name}") for line in said)


def test_on_an_account_everything_is_exercised(tmp_path: Path) -> None:
    world = World(SnowflakeSettings(account="a", database=DATABASE), tmp_path)

    [outcome] = played(world, [Part("rights", lambda _: ["tried"], "no rights")], lambda _: None)

    assert outcome == Outcome(verdict="green", seconds=outcome.seconds, proofs=["tried"])


@pytest.mark.long
@pytest.mark.integration
def test_the_acceptance_is_played_on_the_emulator(tmp_path: Path, tools: None) -> None:
    """The command of `make snowflake-live`, with the emulator's address; ten minutes at most."""
    report = tmp_path / "report.json"
    with process.running(tmp_path / "emulator") as emulator:
        environment = emulator.environment | {
            "SNOWFLAKE_DATABASE": DATABASE,
            "TAPEHOUSE_STATE_DIR": str(tmp_path / "state"),
        }
        del environment["DBT_TARGET"]
        found = subprocess.run(
            [sys.executable, "-m", "drill", "snowflake", "--report", str(report)],
            cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=1800,
            check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr

    told = json.loads(report.read_text())
    expected = [NOT_EXERCISED if part.lacks else "green" for part in (*PARTS, TEARDOWN)]
    assert [one["verdict"] for one in told["parts"]] == expected
    assert expected.count(NOT_EXERCISED) == 3
    for line in BEYOND_THE_EMULATOR:
        assert f"not exercised: {line}" in found.stdout
