"""The account that is given, and the scratch database there that may be made and dropped."""

from pathlib import Path

from snowflake.connector import Error

import ingestion.snowflake  # noqa: F401 - the first to import the connector: a warning is kept away
from ingestion.errors import SettingsError
from ingestion.settings import SnowflakeSettings
from ingestion.snowflake import diagnosis, keys, scripts
from ingestion.snowflake.connection import connection

_ADDRESS = "select current_ip_address()"


def require_scratch(settings: SnowflakeSettings) -> None:
    """Refuse a database that is not there to be dropped.

    Raises:
        SettingsError: its name does not begin with ``SCRATCH_``.
    """
    if not settings.database.startswith(scripts.SCRATCH):
        raise SettingsError(
            f"{settings.variable('database')}: the acceptance makes a database and drops it, "
            f"expected a name that begins with {scripts.SCRATCH}, found {settings.database}"
        )


def is_emulated(settings: SnowflakeSettings) -> bool:
    """Return whether it is the tests' emulator: no account of Snowflake's answers plain HTTP."""
    return settings.protocol == "http"


def variables(settings: SnowflakeSettings, folder: Path) -> dict[str, str]:
    """Return the settings for our commands: those given, and what a scratch database may be given.

    Service users without a key get one in ``folder``; they may log in from this machine's address
    where no others are named.

    Raises:
        SettingsError: account, administrator or the administrator's key are missing.
        SnowflakeError: the administrator's login is refused.
    """
    require_scratch(settings)
    keys.read(settings, "admin")
    given = {name: getattr(settings, name) for name in type(settings).model_fields}
    found = {settings.variable(n): _plain(value) for n, value in given.items() if value is not None}
    for who in scripts.SERVICE_USERS:
        name = settings.variable(f"{who}_private_key_path")
        if not found.get(name):
            path = folder / f"{who}.p8"
            keys.make(path)
            found[name] = str(path)
        else:
            found[name] = str(settings.key(who)[0])
    found[settings.variable("admin_private_key_path")] = str(settings.key("admin")[0])
    addresses = settings.variable("allowed_ips")
    if not found.get(addresses):
        found[addresses] = _address(settings)
    # The acceptance sends its files: it needs no bucket that Snowflake can reach.
    found[settings.variable("storage_role_arn")] = ""
    return found


def _address(settings: SnowflakeSettings) -> str:
    with connection(settings, "admin", "live") as session, session.cursor() as cursor:
        try:
            cursor.execute(_ADDRESS)
            [(address,)] = cursor.fetchall()
        except Error as error:
            raise diagnosis.of_statement(error, _ADDRESS) from error
    return str(address)


def _plain(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value)
