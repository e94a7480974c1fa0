"""Variable names: a wrong one is told, in the settings file and in the process environment.

A typing mistake must not silently mean the default. In the file every name has to be one of ours.
The environment holds other programs' names too: `KAFKA_` and `STORE_` are also used by Kafka's
scripts and by Kubernetes' service links, `SNOWFLAKE_` by its own tools, a provider's name by
whatever else reads it, so an unknown one there is a warning, not an error.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from ingestion.errors import SettingsError

# Set by one of our processes for another, or for one run; no component's settings.
INTERNAL = frozenset(
    {
        "TAPEHOUSE_BUILD_ID",
        "TAPEHOUSE_ENV_FILE",
        "TAPEHOUSE_FAILPOINT",
        "TAPEHOUSE_NOW",
        "TAPEHOUSE_SETTINGS_SHA256",
        "TAPEHOUSE_STACK",
        "TAPEHOUSE_TEST_RUN",
    }
)
_OURS = ("TAPEHOUSE_", "PRODUCE_", "LIMITS_", "LAND_", "LAKE_", "WAREHOUSE_", "SERVING_")
_SHARED = ("KAFKA_", "STORE_", "YAHOO_", "FINNHUB_", "ALPHAVANTAGE_", "SNOWFLAKE_", "PROMETHEUS_")
# What Kafka's own scripts, Snowflake's connector and Prometheus' client read, and what Kubernetes
# sets for a service called kafka or store.
_FOREIGN = re.compile(
    r"KAFKA_(\w+_)?(OPTS|HOME|DEBUG|LOG_DIR)|\w+_(SERVICE_|PORT_\d)\w*"
    r"|SNOWFLAKE_(HOME|CONNECTIONS|DEFAULT_CONNECTION_NAME)|PROMETHEUS_MULTIPROC_DIR"
)


def check_file(path: Path, known: Collection[str]) -> None:
    """Make sure that every line of a settings file sets a name that is known.

    Raises:
        SettingsError: a line is not an assignment, or its name is unknown; the text says which,
            and never quotes the line: it may hold a part of a secret.
    """
    if not path.is_file():
        return
    with path.open() as file:
        for binding in parse_stream(file):
            _check(binding, path, known)


def check_environment(environment: Mapping[str, str], known: Collection[str]) -> list[str]:
    """Return a warning for each name that may be meant for us and is not known.

    Raises:
        SettingsError: a name that can only be meant for us is not known.
    """
    unknown = sorted(set(environment) - set(known) - INTERNAL)
    if ours := [name for name in unknown if name.startswith(_OURS)]:
        raise SettingsError(f"environment: {_text(ours[0], known)}")
    return [_text(name, known) for name in _shared(unknown)]


def _check(binding: Binding, path: Path, known: Collection[str]) -> None:
    text = binding.original.string
    line = binding.original.line + len(text) - len(text.lstrip("\n"))
    if binding.error or (binding.key is not None and binding.value is None):
        raise SettingsError(f"{path}, line {line}: expected NAME=value")
    if binding.key is not None and binding.key not in known:
        raise SettingsError(f"{path}, line {line}: {_text(binding.key, known)}")


def _shared(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(_SHARED) and not _FOREIGN.fullmatch(name)]


def _text(name: str, known: Collection[str]) -> str:
    closest = get_close_matches(name, known, n=1)
    hint = f"; did you mean {closest[0]}?" if closest else ""
    return f"unknown setting {name}{hint} (.env.example names all)"
