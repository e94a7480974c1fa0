"""Generated credentials in an ignored settings file: 0600, added when missing, never replaced."""

import base64
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

KAFKA_USERS = ("ADMIN", "PRODUCER", "LANDER", "STREAM", "AUDITOR", "REDRIVER")
STORE_IDENTITIES = ("ROOT", "LANDER", "LAKE", "LOADER", "AUDITOR")
PORTS = {
    "KAFKA_PORT": 19092,
    "KAFKA_CONTROLLER_PORT": 19093,
    "STORE_PORT": 19000,
    "LAKE_CLUSTER_PORT": 17077,
    "LAKE_CLUSTER_UI_PORT": 17080,
    "AIRFLOW_PORT": 18090,
    "SUPERSET_PORT": 18088,
    "PROMETHEUS_PORT": 19090,
    "PROMETHEUS_EXPORTER_PORT": 19464,
}
SPARK_SECRET = "LAKE_CLUSTER_SECRET"  # noqa: S105 - its name

AIRFLOW_SECRETS = ("AIRFLOW_ADMIN_PASSWORD", "AIRFLOW_SECRET_KEY", "AIRFLOW_FERNET_KEY")
SUPERSET_SECRETS = ("SUPERSET_ADMIN_PASSWORD", "SUPERSET_SECRET_KEY", "SUPERSET_GUEST_SECRET")

HEADER = """\
# Settings of this checkout, written by `make setup`; not in git, for it holds credentials.
# .env.example explains every name.
"""


def credentials() -> dict[str, Callable[[], str]]:
    """Return every generated name with what makes a value for it."""
    makers: dict[str, Callable[[], str]] = {}
    for user in KAFKA_USERS:
        makers[f"KAFKA_{user}_PASSWORD"] = _secret
    for identity in STORE_IDENTITIES:
        makers[f"STORE_{identity}_ACCESS_KEY"] = _access_key(identity.lower())
        makers[f"STORE_{identity}_SECRET_KEY"] = _secret
    makers[SPARK_SECRET] = _secret
    makers |= zip(AIRFLOW_SECRETS, (_secret, _long_secret, _fernet_key), strict=True)
    makers |= zip(SUPERSET_SECRETS, (_secret, _long_secret, _long_secret), strict=True)
    return makers


def _secret() -> str:
    return secrets.token_urlsafe(24)


def _long_secret() -> str:
    """Return 64 characters: as many as HS512, which signs Airflow's tokens, has bytes."""
    return secrets.token_urlsafe(48)


def _fernet_key() -> str:
    """Return what `cryptography.fernet.Fernet.generate_key` does: 32 bytes, padded."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _access_key(identity: str) -> Callable[[], str]:
    return lambda: f"{identity}-{secrets.token_hex(4)}"


def complete(path: Path, extra: Mapping[str, str]) -> list[str]:
    """Add to a settings file what it lacks: ``extra``, ports where it is new, credentials.

    An existing value stays. The file ends with mode 0600.

    Returns:
        The names that were added.
    """
    text = path.read_text() if path.is_file() else HEADER
    present = {name for name, value in _assignments(text) if value}
    wanted = dict(extra) | ({} if path.is_file() else free_ports())
    values = {name: value for name, value in wanted.items() if name not in present}
    present |= set(values)
    values |= {name: make() for name, make in credentials().items() if name not in present}
    if values:
        _write(
            path, _without_empty(text, values) + "".join(f"{n}={v}\n" for n, v in values.items())
        )
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return list(values)


def values(path: Path) -> dict[str, str]:
    """Return the assignments of a settings file."""
    return dict(_assignments(path.read_text())) if path.is_file() else {}


def _assignments(text: str) -> list[tuple[str, str]]:
    found = re.findall(
        r"^[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)[ \t]*=[ \t]*(.*?)[ \t]*$", text, re.M
    )
    return [(name, value.strip("'\"")) for name, value in found]


def _without_empty(text: str, names: Mapping[str, str]) -> str:
    kept = [line for line in text.splitlines() if not _is_empty_assignment(line, names)]
    return "\n".join(kept) + "\n"


def _is_empty_assignment(line: str, names: Mapping[str, str]) -> bool:
    return any(name in names and not value for name, value in _assignments(line))


def free_ports() -> dict[str, str]:
    """Return for each service its usual port, or the next one that nobody listens on."""
    chosen: dict[str, str] = {}
    for name, usual in PORTS.items():
        port = next(
            p for p in range(usual, usual + 500) if _is_free(p) and str(p) not in chosen.values()
        )
        chosen[name] = str(port)
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)
