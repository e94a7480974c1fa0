"""What a login asks for, and with which key."""

import pytest

from ingestion.errors import SettingsError, SnowflakeError
from ingestion.settings import SnowflakeSettings
from ingestion.snowflake import keys
from ingestion.snowflake.connection import connection
from tests.ingestion.snowflake.account import Account
from tests.ingestion.snowflake.conftest import Shell


def test_a_service_user_logs_in_with_its_key_role_warehouse_and_tag(
    account: Account, env: Shell
) -> None:
    with connection(SnowflakeSettings.load(), "loader", "load") as session:
        session.cursor().execute("select 1")

    [login] = account.logins
    assert login["LOGIN_NAME"] == "STOCKS_MDS_LOADER"
    assert login["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    assert login["roleName"] == "STOCKS_MDS_LOADER"
    assert login["warehouse"] == "STOCKS_MDS_LOADER_WH"
    assert login["databaseName"] == "STOCKS_MDS"
    assert login["SESSION_PARAMETERS"]["QUERY_TAG"] == "tapehouse:load"
    assert account.statements == ["select 1"]


def test_the_administrator_asks_for_no_role_or_database_that_may_not_be_there_yet(
    account: Account, env: Shell
) -> None:
    connection(SnowflakeSettings.load(), "admin", "bootstrap").close()

    [login] = account.logins
    assert login["LOGIN_NAME"] == "ADA"
    assert not {"roleName", "warehouse", "databaseName"} & login.keys()


def test_another_database_has_users_roles_and_warehouses_of_its_own(
    account: Account, env: Shell
) -> None:
    env.variables["SNOWFLAKE_DATABASE"] = "SCRATCH_ADA"
    env.write()

    with pytest.raises(SnowflakeError, match="refuses the key of SCRATCH_ADA_READER"):
        connection(SnowflakeSettings.load(), "reader", "x")

    assert account.logins[0]["warehouse"] == "SCRATCH_ADA_READER_WH"


@pytest.mark.parametrize("name", ["stocks", "1X", "A-B", 'A"; drop database X; --', ""])
def test_a_database_s_name_is_one_that_needs_no_quotes(env: Shell, name: str) -> None:
    env.variables["SNOWFLAKE_DATABASE"] = f"'{name}'"
    env.write()

    with pytest.raises(SettingsError, match="SNOWFLAKE_DATABASE"):
        SnowflakeSettings.load()


def test_an_encrypted_key_needs_its_passphrase(env: Shell) -> None:
    from cryptography.hazmat.primitives import serialization

    key = keys.read(SnowflakeSettings.load(), "loader")
    path = env.file.with_name("encrypted.p8")
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    env.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PATH"] = str(path)
    env.write()
    with pytest.raises(SettingsError, match=r"PASSPHRASE: the key .* is encrypted"):
        keys.read(SnowflakeSettings.load(), "loader")

    env.variables["SNOWFLAKE_LOADER_PRIVATE_KEY_PASSPHRASE"] = "open sesame"
    env.write()

    assert keys.read(SnowflakeSettings.load(), "loader").private_numbers() == key.private_numbers()
