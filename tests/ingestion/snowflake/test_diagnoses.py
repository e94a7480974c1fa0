"""T7: what is missing or wrong is said in one line, and nothing else happens."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pyiceberg.catalog import load_catalog
from snowflake.connector import errors

from ingestion.errors import SnowflakeAwayError
from ingestion.settings import SnowflakeSettings
from ingestion.snowflake import diagnosis
from tests.ingestion.snowflake.account import Account
from tests.ingestion.snowflake.conftest import Keys, Shell


def no_key(shell: Shell, account: Account, key_pairs: Keys) -> None:
    del shell.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PATH"]


def no_key_file(shell: Shell, account: Account, key_pairs: Keys) -> None:
    shell.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PATH"] = str(shell.file.with_name("gone.p8"))


def no_key_in_the_file(shell: Shell, account: Account, key_pairs: Keys) -> None:
    path = shell.file.with_name("other.p8")
    path.write_text("hunter2\n")
    shell.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PATH"] = str(path)


def a_passphrase_too_many(shell: Shell, account: Account, key_pairs: Keys) -> None:
    shell.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PASSPHRASE"] = "hunter2"


def wrong_key(shell: Shell, account: Account, key_pairs: Keys) -> None:
    other = key_pairs.private["stranger"]
    shell.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PATH"] = str(other)


def no_account(shell: Shell, account: Account, key_pairs: Keys) -> None:
    del shell.variables["SNOWFLAKE_ACCOUNT"]


def wrong_account(shell: Shell, account: Account, key_pairs: Keys) -> None:
    shell.variables["SNOWFLAKE_ACCOUNT"] = "acme-stock"


def unknown_address(shell: Shell, account: Account, key_pairs: Keys) -> None:
    account.refusal = 404, "", ""


def no_network(shell: Shell, account: Account, key_pairs: Keys) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        shell.variables["SNOWFLAKE_PORT"] = str(probe.getsockname()[1])
    shell.variables["SNOWFLAKE_LOGIN_TIMEOUT_S"] = "2"


def in_trouble(shell: Shell, account: Account, key_pairs: Keys) -> None:
    account.refusal = 503, "", ""
    shell.variables["SNOWFLAKE_LOGIN_TIMEOUT_S"] = "2"


def no_role(shell: Shell, account: Account, key_pairs: Keys) -> None:
    account.refusal = 200, "390189", "Role 'X' specified in the connect string does not exist."


def no_database(shell: Shell, account: Account, key_pairs: Keys) -> None:
    account.refusal = 200, "390201", "The requested database does not exist or not authorized."


def forbidden_address(shell: Shell, account: Account, key_pairs: Keys) -> None:
    text = "Incoming request with IP/Token 198.51.100.9 is not allowed to access Snowflake."
    account.refusal = 200, "390422", text


def something_new(shell: Shell, account: Account, key_pairs: Keys) -> None:
    account.refusal = 200, "390555", "The moon is full.\nTry again."


FAULTS: dict[Callable[[Shell, Account, Keys], None], str] = {
    no_key: "SNOWFLAKE_LOADER_PRIVATE_KEY_PATH is not set",
    no_key_file: "gone.p8 cannot be read: No such file",
    no_key_in_the_file: "expected a private key in PEM form",
    a_passphrase_too_many: "SNOWFLAKE_LOADER_PRIVATE_KEY_PASSPHRASE: the key",
    wrong_key: "Snowflake refuses the key of STOCKS_MDS_LOADER",
    no_account: "SNOWFLAKE_ACCOUNT is not set",
    wrong_account: "there is no account acme-stock at 127.0.0.1",
    unknown_address: "there is no account acme-stocks at 127.0.0.1",
    no_network: "nothing answers at 127.0.0.1:",
    in_trouble: "answers with errors alone",
    no_role: "STOCKS_MDS_LOADER has no role STOCKS_MDS_LOADER",
    no_database: "finds no database STOCKS_MDS or warehouse STOCKS_MDS_LOADER_WH",
    forbidden_address: "add it to SNOWFLAKE_ALLOWED_IPS",
    something_new: "390555 (08001): The moon is full. Try again.",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_told_in_a_line_of_its_own_and_nothing_is_asked(
    shell: Shell,
    account: Account,
    key_pairs: Keys,
    fault: Callable[[Shell, Account, Keys], None],
) -> None:
    fault(shell, account, key_pairs)

    found = shell.run("check")

    assert found.returncode == 1
    assert found.stdout == ""
    [line] = found.stderr.splitlines()
    assert line.startswith("error: ")
    assert [text for text in FAULTS.values() if text in line] == [FAULTS[fault]]
    assert account.statements == []
    assert "hunter2" not in found.stderr


def test_a_process_fails_with_that_line_alone(
    shell: Shell, account: Account, key_pairs: Keys
) -> None:
    """With what the connector logs on standard error as well."""
    wrong_key(shell, account, key_pairs)

    found = shell.start("check")

    assert (found.returncode, found.stdout) == (1, "")
    [line] = found.stderr.splitlines()
    assert line.startswith("error: ") and FAULTS[wrong_key] in line
    assert account.statements == []


@pytest.fixture
def lake(shell: Shell, tmp_path: Path) -> None:
    """What a load needs besides Snowflake: the loader's key for a store, and a catalog."""
    shell.variables["STORE_LOADER_ACCESS_KEY"] = "loader"
    shell.variables["STORE_LOADER_SECRET_KEY"] = "not-so-secret"
    shell.variables["LAKE_CATALOG_URI"] = f"sqlite:///{tmp_path}/catalog.db"
    load_catalog("lake", type="sql", uri=shell.variables["LAKE_CATALOG_URI"])


@pytest.mark.usefixtures("lake")
def test_a_load_tells_the_four_of_t7_as_well_and_asks_for_nothing(
    shell: Shell, account: Account, key_pairs: Keys
) -> None:
    right, load = shell.variables, ("--warehouse", "snowflake")
    for fault in (no_key, wrong_key, wrong_account, no_network):
        shell.variables = dict(right)
        fault(shell, account, key_pairs)

        found = shell.run(*load, part="load")

        assert (found.returncode, found.stdout) == (1, ""), fault.__name__
        [line] = found.stderr.splitlines()
        assert line.startswith("error: ") and FAULTS[fault] in line
    assert account.statements == []

    # All that was wrong was the login: with the right one it asks, first of all for the ledger.
    shell.variables = right
    account.refused_statement = "ops.load_ledger", 2003, "Object does not exist."
    found = shell.run(*load, part="load")
    assert "bootstrap" in found.stderr and "ops.load_ledger" in account.statements[-1]


def test_a_refused_key_names_all_that_it_may_be(
    shell: Shell, account: Account, key_pairs: Keys
) -> None:
    """Snowflake has one answer for a wrong key, user, account and clock."""
    wrong_key(shell, account, key_pairs)

    line = shell.run("check").stderr

    for cause in ("bootstrap` gives it", "LOGIN_NAME", "acme-stocks and no other", "clock"):
        assert cause in line
    assert re.search(r"this one says 20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ", line)


def test_debug_shows_the_trace(shell: Shell, account: Account) -> None:
    shell.variables["SNOWFLAKE_ACCOUNT"] = "acme-stock"

    found = shell.run("check", "--debug")

    assert found.returncode == 1
    assert "Traceback" in found.stderr and "ForbiddenError" in found.stderr


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            {"www.snowflake.com"},
            "there is no account acme-stocks at acme-stocks.snowflakecomputing",
        ),
        (set(), "no name is resolved here"),
        ({"acme-stocks.snowflakecomputing.com"}, "nothing answers at acme-stocks.snowflake"),
    ],
)
def test_an_account_that_is_none_and_a_network_that_is_none_are_told_apart_by_names(
    env: Shell, names: set[str], expected: str
) -> None:
    del env.variables["SNOWFLAKE_HOST"]
    env.write()
    error = errors.OperationalError(msg="no answer", errno=250001)

    found = diagnosis.of_login(
        error, SnowflakeSettings.load(), "loader", resolves=lambda host: host in names
    )

    assert expected in str(found)
    assert isinstance(found, SnowflakeAwayError) is ("no account" not in expected)


@pytest.mark.parametrize(
    ("errno", "code", "transient"),
    [
        (580503, 503, True),  # an HTTP status, wrapped twice
        (290429, 429, True),
        (290404, 404, False),
        (540001, 250001, True),  # a login without an answer, wrapped
        (250003, 250003, True),
        (390112, 390112, True),  # the session is over
        (253003, 253003, True),  # the store behind the stage does not answer a PUT
        (603, 603, True),  # an internal error of Snowflake
        (390144, 390144, False),
        (1003, 1003, False),  # SQL that does not compile
        (3001, 3001, False),  # no rights
        (None, -1, False),
    ],
)
def test_codes_are_told_apart_and_only_what_may_pass_is_transient(
    errno: int | None, code: int, transient: bool
) -> None:
    error = errors.DatabaseError(msg="x", errno=errno)

    assert (diagnosis.code(error), diagnosis.is_transient(error)) == (code, transient)


def test_a_refused_login_is_not_transient_though_its_code_says_so() -> None:
    assert not diagnosis.is_transient(errors.ForbiddenError(errno=250001))
