"""The project's variable names, told a second time: what is misspelt must not mean the default."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import parse_stream

from audit.errors import SettingsError

_KAFKA = "PORT CONTROLLER_PORT BOOTSTRAP_SERVERS SECURITY_PROTOCOL SASL_MECHANISM SSL_CA_LOCATION"
_STORE = "KIND PORT ENDPOINT REGION BRONZE_BUCKET LAKE_BUCKET DOCTOR_BUCKET"
_LAND = (
    "PROFILE MAX_AGE_S MAX_BYTES BUDGET_BYTES QUEUE_BYTES TRIM_MEMORY PROCESSES"
    " METRICS_PORT METRICS_ADDRESS GROUP_PROTOCOL"
)
_LIMITS = "YAHOO FINNHUB ALPHAVANTAGE ATTEMPTS BREAKER_FAILURES BREAKER_OPEN_S MAX_WAIT_S RETRY_S"
_PROVIDERS = {
    "YAHOO": "BASE_URL STREAM_URL TIMEOUT_S",
    "FINNHUB": "API_KEY BASE_URL STREAM_URL MUTE_AFTER_S",
    "ALPHAVANTAGE": "API_KEY BASE_URL PREMIUM",
}
_LAKE = (
    "CATALOG_URI PINS_DIR DRIVER_MEMORY EXECUTOR_MEMORY JAVA_OPTIONS MASTER LATENESS_S"
    " STREAM_CHECKPOINT STREAM_MAX_RECORDS STREAM_PARTITIONS"
    " STREAM_METRICS_PORT STREAM_METRICS_ADDRESS"
    " CLUSTER_PORT CLUSTER_UI_PORT CLUSTER_SECRET"
)
_AIRFLOW = (
    "PORT BIND API_URL DATABASE_URL PARALLELISM ADMIN_PASSWORD SECRET_KEY FERNET_KEY WEBHOOK_URL"
)
_SUPERSET = "PORT DATABASE_URL GOLD_URL ADMIN_PASSWORD SECRET_KEY GUEST_SECRET"
_USERS = ("ADMIN", "PRODUCER", "LANDER", "STREAM", "AUDITOR", "REDRIVER")
_IDENTITIES = ("ROOT", "LANDER", "LAKE", "LOADER", "AUDITOR")
KNOWN = frozenset(
    {
        *("TAPEHOUSE_STATE_DIR", "TAPEHOUSE_CALENDAR"),
        *(f"KAFKA_{name}" for name in (*_KAFKA.split(), "LANDERS_GROUP")),
        *(f"KAFKA_{user}_{part}" for user in _USERS for part in ("USERNAME", "PASSWORD")),
        *(f"STORE_{name}" for name in _STORE.split()),
        *(f"STORE_{who}_{part}" for who in _IDENTITIES for part in ("ACCESS_KEY", "SECRET_KEY")),
        *(f"LAND_{name}" for name in _LAND.split()),
        *("PRODUCE_SPOOL_DIR", "PRODUCE_SPOOL_MAX_BYTES"),
        *("PRODUCE_BARS_SOURCES", "PRODUCE_QUOTES_SOURCES"),
        *("PRODUCE_METRICS_PORT", "PRODUCE_METRICS_ADDRESS"),
        *("PROMETHEUS_PORT", "PROMETHEUS_EXPORTER_PORT"),
        *("PROMETHEUS_EXPORTER_ADDRESS", "PROMETHEUS_EXPORTER_TIMEOUT_S"),
        *(f"LIMITS_{name}" for name in _LIMITS.split()),
        *(f"{who}_{name}" for who, names in _PROVIDERS.items() for name in names.split()),
        *(f"LAKE_{name}" for name in _LAKE.split()),
        *(f"AIRFLOW_{name}" for name in _AIRFLOW.split()),
        *(f"SUPERSET_{name}" for name in _SUPERSET.split()),
        *("WAREHOUSE_ENGINE", "WAREHOUSE_PATH", "WAREHOUSE_GOLD_DIR", "WAREHOUSE_LOCK_TIMEOUT_S"),
        *("SERVING_POSTGRES_URL", "SERVING_READERS_WAIT_S", "SERVING_READER_URL"),
        *(
            "SNOWFLAKE_ACCOUNT",
            "SNOWFLAKE_ADMIN_PRIVATE_KEY_PASSPHRASE",
            "SNOWFLAKE_ADMIN_PRIVATE_KEY_PATH",
            "SNOWFLAKE_ADMIN_USER",
            "SNOWFLAKE_ALLOWED_IPS",
            "SNOWFLAKE_CREDIT_PRICE",
            "SNOWFLAKE_DATABASE",
            "SNOWFLAKE_GOLD_WAREHOUSE",
            "SNOWFLAKE_HOST",
            "SNOWFLAKE_LOADER_PRIVATE_KEY_PASSPHRASE",
            "SNOWFLAKE_LOADER_PRIVATE_KEY_PATH",
            "SNOWFLAKE_LOGIN_TIMEOUT_S",
            "SNOWFLAKE_MONTHLY_CREDITS",
            "SNOWFLAKE_NETWORK_TIMEOUT_S",
            "SNOWFLAKE_PORT",
            "SNOWFLAKE_PROTOCOL",
            "SNOWFLAKE_QUERY_TAG",
            "SNOWFLAKE_READER_PRIVATE_KEY_PASSPHRASE",
            "SNOWFLAKE_READER_PRIVATE_KEY_PATH",
            "SNOWFLAKE_SILVER_WAREHOUSE",
            "SNOWFLAKE_STORAGE_ROLE_ARN",
            "SNOWFLAKE_TRANSFORMER_PRIVATE_KEY_PASSPHRASE",
            "SNOWFLAKE_TRANSFORMER_PRIVATE_KEY_PATH",
        ),
    }
)
# What our processes set for each other.
INTERNAL = frozenset(
    f"TAPEHOUSE_{name}"
    for name in ("BUILD_ID", "ENV_FILE", "FAILPOINT", "NOW", "SETTINGS_SHA256", "STACK", "TEST_RUN")
)
_OURS = ("TAPEHOUSE_", "PRODUCE_", "LIMITS_", "LAND_", "LAKE_", "WAREHOUSE_", "SERVING_")
_SHARED = ("KAFKA_", "STORE_", "YAHOO_", "FINNHUB_", "ALPHAVANTAGE_")
# Read by Kafka's own scripts, or set by Kubernetes for a service called kafka or store.
_FOREIGN = re.compile(r"KAFKA_(\w+_)?(OPTS|HOME|DEBUG|LOG_DIR)|\w+_(SERVICE_|PORT_\d)\w*")


def check(file: Path, environment: Mapping[str, str]) -> list[str]:
    """Return a warning for each name in the environment that may be meant for us.

    Raises:
        SettingsError: a line of the file sets no name that is known, or the environment has an
            unknown name that can only be meant for us. The line itself, perhaps a secret, is not
            quoted.
    """
    for number, name in _assignments(file) if file.is_file() else ():
        if name is None:
            raise SettingsError(f"{file}, line {number}: expected NAME=value")
        if name not in KNOWN:
            raise SettingsError(f"{file}, line {number}: {_unknown(name)}")
    unknown = sorted(set(environment) - KNOWN - INTERNAL)
    for name in unknown:
        if name.startswith(_OURS):
            raise SettingsError(f"environment: {_unknown(name)}")
    shared = (name for name in unknown if name.startswith(_SHARED))
    return [_unknown(name) for name in shared if not _FOREIGN.fullmatch(name)]


def _assignments(file: Path) -> Iterator[tuple[int, str | None]]:
    """Yield line number and name of each assignment; None for what is neither that nor comment."""
    with file.open() as stream:
        for found in parse_stream(stream):
            text = found.original.string
            number = found.original.line + len(text) - len(text.lstrip("\n"))
            if found.error or found.key is not None:
                yield number, found.key if found.value is not None else None


def _unknown(name: str) -> str:
    closest = get_close_matches(name, KNOWN, n=1)
    hint = f"; did you mean {closest[0]}?" if closest else ""
    return f"unknown setting {name}{hint} (.env.example names all)"
