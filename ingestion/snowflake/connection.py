"""A session at Snowflake: key pair, query tag, time-outs."""

from typing import Any, Final

import snowflake.connector
from snowflake.connector import SnowflakeConnection

from ingestion.settings import SnowflakeSettings, SnowflakeUser
from ingestion.snowflake import diagnosis, keys

# What rows and names rest on, and an account may have set otherwise. Service users have the same
# from bootstrap (09_service_users.sql): dbt logs in by itself.
PARAMETERS: Final = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "WEEK_START": 0,
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
}


def connection(settings: SnowflakeSettings, who: SnowflakeUser, tag: str) -> SnowflakeConnection:
    """Log in as a user, with its role, warehouse and database; ``tag`` names the part of ours.

    The connector repeats a login, and a request that got no answer, until its time is over: 5xx,
    429 and broken connections, never a refusal. A repeated request has the id of the first, so that
    Snowflake runs a statement once. What a statement raises is told by ``diagnosis.of_statement``;
    where that is transient its outcome is unknown: ask what it was to change, in a new session.

    Raises:
        SettingsError: account or key are not set, or the key cannot be read.
        SnowflakeError: the login is refused; SnowflakeAwayError: nobody answers.
    """
    key = keys.read(settings, who)
    try:
        return snowflake.connector.connect(
            account=settings.account_name(),
            user=settings.user(who),
            private_key=key,
            port=settings.port,
            protocol=settings.protocol,
            login_timeout=settings.login_timeout_s,
            network_timeout=settings.network_timeout_s,
            # It would ask the metadata services of three clouds where it runs.
            platform_detection_timeout_seconds=0.0,
            session_parameters={
                **PARAMETERS,
                "QUERY_TAG": f"{settings.query_tag}:{tag}",
                "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
            },
            # Else it knows itself how an account's host is written.
            **({"host": settings.host} if settings.host else {}),
            **({} if who == "admin" else _place(settings, who)),
        )
    except snowflake.connector.Error as error:
        raise diagnosis.of_login(error, settings, who) from error


def _place(settings: SnowflakeSettings, who: SnowflakeUser) -> dict[str, Any]:
    return {
        "role": settings.role(who),
        "warehouse": settings.warehouse(who),
        "database": settings.database,
        # Else Snowflake logs in without a database that is not there, and every statement fails.
        "validate_default_parameters": True,
    }
