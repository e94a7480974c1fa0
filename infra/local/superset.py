"""Superset as a service: its settings' file, what comes before its start, how to see it works."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Final

from infra.local import files as private
from infra.local.layout import DECLARATIONS, Layout
from infra.local.ports import HOST
from infra.setup.console import Console, SetupError
from infra.setup.python_env import PythonEnvironment
from ingestion.errors import StackError
from ingestion.settings import ROOT, WarehouseSettings

USER: Final = "admin"
SETTINGS: Final = "superset.json"
_ENVIRONMENT: Final = ".venv-superset"
_LOCK: Final = "infra/superset/requirements.txt"
_PROBE_TIMEOUT_S: Final = 5.0
# Migrations of an empty database, permissions and the import took 45 s on two busy cores.
_RUN_TIMEOUT_S: Final = 600.0


def ensure_installed() -> None:
    """Install Superset into its own environment where it is not there as locked.

    Raises:
        StackError: a package cannot be had, or is not what the lock file says.
    """
    console = Console(total=1)
    uv = ROOT / ".venv" / "bin" / "uv"
    environment = PythonEnvironment(ROOT, console, _ENVIRONMENT, _LOCK, uv)
    if environment.is_ready():
        return
    console.next()
    try:
        with console.working("Superset (some minutes the first time, 900 MB)"):
            environment.make()
    except SetupError as error:
        raise StackError(str(error)) from error


def python() -> str:
    """Return the Python of Superset's environment.

    Raises:
        StackError: it is not installed.
    """
    path = ROOT / _ENVIRONMENT / "bin" / "python"
    if not path.exists():
        raise StackError(f"Superset is not installed in {path.parents[1]}: run `make superset`")
    return str(path)


def command(layout: Layout) -> list[str]:
    """Return the service's command.

    Raises:
        StackError: Superset is not installed.
    """
    arguments = ("--bind", f"{HOST}:{layout.superset.port}", "--no-control-socket")
    # One process with threads: most of a query's time is DuckDB's, which holds no lock of Python.
    # One that does not answer for so long is started anew; on a busy machine a start takes minutes.
    threads = ("--worker-class", "gthread", "--threads", "8", "--timeout", "600")
    return [python(), "-m", "gunicorn", *arguments, *threads, "superset.app:create_app()"]


def environment(layout: Layout) -> dict[str, str]:
    """Return what Superset finds in its environment."""
    return {
        "SUPERSET_CONFIG_PATH": str(DECLARATIONS / "superset" / "configuration.py"),
        "SUPERSET_HOME": str(home(layout)),
        "TAPEHOUSE_SUPERSET": str(layout.run / SETTINGS),
        "PYTHONPATH": str(ROOT),
    }


def home(layout: Layout) -> Path:
    """Return the folder of Superset's own state."""
    return layout.state / "superset"


def url(layout: Layout) -> str:
    """Return where it is for people on this machine."""
    return f"http://{HOST}:{layout.superset.port}"


def files(layout: Layout) -> dict[str, str]:
    """Return the private file that ``infra/superset/configuration.py`` reads."""
    settings = layout.superset
    gold = settings.gold_url.get_secret_value() if settings.gold_url else None
    values = {
        "database": settings.database(),
        "secret_key": settings.secret("secret_key"),
        "guest_secret": settings.secret("guest_secret"),
        "admin_password": settings.secret("admin_password"),
        "gold_folder": str(WarehouseSettings.load().published()),
        "gold_url": gold,
    }
    return {SETTINGS: json.dumps(values, indent=1) + "\n"}


def prepare(layout: Layout) -> None:
    """Migrate the metadata, set the admin's password, import the dashboards, roles and rules.

    Raises:
        StackError: it failed; the text has the end of its log.
    """
    run(layout, "prepare")


def run(layout: Layout, what: str, *options: str) -> str:
    """Run ``python -m infra.superset WHAT`` in Superset's environment and return what it said.

    Raises:
        StackError: it failed; the text has the end of its log.
    """
    layout.make_folders()
    home(layout).mkdir(exist_ok=True)
    for name, text in files(layout).items():
        private.write_private(layout.run / name, text)
    log = layout.log / f"superset-{what}.log"
    with log.open("w") as err:
        try:
            done = subprocess.run(
                [python(), "-m", "infra.superset", what, *options],
                env=layout.child_environment() | environment(layout),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                timeout=_RUN_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"expected an end within {_RUN_TIMEOUT_S:.0f} s, see {log}") from None
    if done.returncode:
        raise StackError(f"`{what}` of Superset failed; end of {log}:\n{private.last_lines(log)}")
    return done.stdout.splitlines()[-1]  # before it, Superset says which configuration it has read


def probe(layout: Layout) -> None:
    """Return where it answers.

    Raises:
        StackError: it does not.
    """
    address = f"{url(layout)}/health"
    try:
        with urllib.request.urlopen(address, timeout=_PROBE_TIMEOUT_S):  # noqa: S310 - our own
            return
    except OSError as error:
        raise StackError(f"does not answer at {address}: {error}") from error
