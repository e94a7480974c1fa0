"""Airflow as four services: its configuration, its commands, and how to see that they work."""

import json
import subprocess
import sys
import urllib.request
from configparser import RawConfigParser
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any, Final

from infra.local.layout import DECLARATIONS, Layout
from infra.local.ports import HOST
from ingestion.errors import StackError
from ingestion.settings import ROOT, WarehouseSettings

CONFIGURATION: Final = "airflow.cfg"
PASSWORDS: Final = "airflow-passwords.json"
USER: Final = "admin"
_PROBE_TIMEOUT_S: Final = 5.0
_PREPARE_TIMEOUT_S: Final = 180.0
# Service to its command, and to the component whose heartbeat tells that it works.
_COMMANDS: Final = {
    "airflow-api": ("airflow", "api-server"),
    # Logs are read from this machine's files: their servers would listen on every address.
    "airflow-scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    # It forks a child for each parse of a file.
    "airflow-processor": ("orchestration.warm", "dag-processor"),
    "airflow-triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}
_COMPONENTS: Final = {
    "airflow-api": "metadatabase",
    "airflow-scheduler": "scheduler",
    "airflow-processor": "dag_processor",
    "airflow-triggerer": "triggerer",
}

_NO_LINEAGE: Final = (
    "airflow.providers.standard.operators.empty.EmptyOperator",
    "orchestration.news.NewsOperator",
    "orchestration.restore.RestoreOperator",
    "orchestration.summary.SummaryOperator",
)

# Log to module, side by side: they have nothing to do with each other.
_PREPARATIONS: Final = {
    "airflow-database": "orchestration.database",
    "airflow-manifest": "orchestration.manifest",
}


def command(name: str) -> list[str]:
    """Return a service's command."""
    return [sys.executable, "-m", *_COMMANDS[name]]


def environment(layout: Layout) -> dict[str, str]:
    """Return what the services, and the tasks below them, find in their environment."""
    return {
        "AIRFLOW_HOME": str(home(layout)),
        "AIRFLOW_CONFIG": str(layout.run / CONFIGURATION),
        "PYTHONPATH": str(ROOT),
        # Airflow's processes name themselves, into the place of the mark that a stop finds them by.
        "SPT_NOENV": "1",
        # What dbt's profile asks for, whatever folder a task runs it in.
        "WAREHOUSE_PATH": str(WarehouseSettings.load().file()),
        "DBT_MODULE_PATH": str(ROOT / "dbt_stocks"),
    }


def home(layout: Layout) -> Path:
    """Return the folder of Airflow's own state."""
    return layout.state / "airflow"


def lineage(layout: Layout) -> Path:
    """Return the file of OpenLineage's events, one JSON object a line."""
    return home(layout) / "lineage" / "events.jsonl"


def url(layout: Layout) -> str:
    """Return where the UI and the API are for people on this machine."""
    return f"http://{HOST}:{layout.airflow.port}"


def files(layout: Layout) -> dict[str, str]:
    """Return the private files of the services: the configuration and the users' passwords."""
    password = layout.airflow.secret("admin_password")
    return {
        CONFIGURATION: configuration(layout),
        PASSWORDS: json.dumps({USER: password}) + "\n",
    }


def configuration(layout: Layout) -> str:
    """Return ``airflow.cfg``; what is not in it has Airflow's default."""
    parser = RawConfigParser()
    for section, values in _sections(layout).items():
        # Airflow expands percent signs of the values.
        parser[section] = {name: str(value).replace("%", "%%") for name, value in values.items()}
    text = StringIO()
    parser.write(text)
    return text.getvalue()


def _sections(layout: Layout) -> dict[str, dict[str, object]]:
    settings, where = layout.airflow, home(layout)
    return {
        "core": {
            "dags_folder": ROOT / "dags",
            "plugins_folder": ROOT / "orchestration" / "plugins",
            "executor": "orchestration.executor.WarmLocalExecutor",
            "parallelism": settings.parallelism,
            "load_examples": False,
            "fernet_key": settings.secret("fernet_key"),
            "execution_api_server_url": f"{settings.url()}/execution/",
            "auth_manager": "airflow.api_fastapi.auth.managers.simple"
            ".simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": layout.run / PASSWORDS,
        },
        "database": {"sql_alchemy_conn": settings.database(), "load_default_connections": False},
        "api": {
            "host": settings.bind,
            "port": settings.port,
            "base_url": url(layout),
            "workers": 1,
            "secret_key": settings.secret("secret_key"),
        },
        "api_auth": {"jwt_secret": settings.secret("secret_key")},
        "logging": {
            "base_log_folder": where / "logs",
            "dag_processor_child_process_log_directory": where / "logs" / "dag_processor",
        },
        # A task whose process is gone is known after a minute, not after five.
        "scheduler": {"task_instance_heartbeat_timeout": 60},
        "dag_processor": {"refresh_interval": 30},
        "usage_data_collection": {"enabled": False},
        "openlineage": {
            "namespace": "tapehouse",
            "transport": json.dumps(
                {"type": "file", "log_file_path": str(lineage(layout)), "append": True}
            ),
            # They move nothing.
            "disabled_for_operators": ";".join(_NO_LINEAGE),
            # Of a model's event; what takes longer is given up, and missing.
            "execution_timeout": 60,
        },
        "cosmos": {
            "enable_telemetry": False,
            "cache_dir": where / "cosmos",
            # The names that users know have dots: dbt.gold.gold_kpi.
            "enable_hierarchical_naming_for_group_nodes_by_folder": True,
        },
    }


def prepare(layout: Layout) -> None:
    """Bring the metadata database, what is declared in it, and dbt's manifest up to date.

    Raises:
        StackError: one of the two failed; the text has the end of its log.
    """
    lineage(layout).parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as ended:
        started = []
        for name, module in _PREPARATIONS.items():
            process, log = _start(layout, name, module)
            ended.callback(_end, process)
            started.append((process, log))
        for process, log in started:
            _wait(process, log)


def _start(layout: Layout, name: str, module: str) -> "tuple[subprocess.Popen[bytes], Path]":
    log = layout.log / f"{name}.log"
    variables = layout.child_environment() | environment(layout)
    arguments = [sys.executable, "-m", module]
    if module.endswith("database"):
        arguments.append(str(DECLARATIONS / "airflow"))
    with log.open("w") as out:
        process = subprocess.Popen(
            arguments,
            env=variables,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return process, log


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> None:
    try:
        code = process.wait(_PREPARE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise StackError(f"expected an end within {_PREPARE_TIMEOUT_S:.0f} s, see {log}") from None
    if code:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise StackError(f"preparing Airflow failed with {code}; end of {log}:\n{end}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def probe(layout: Layout, name: str) -> None:
    """Return where a service works: the API answers, the others' heartbeats are fresh.

    Raises:
        StackError: it does not.
    """
    component = _COMPONENTS[name]
    found = _health(layout).get(component, {}).get("status")
    if found != "healthy":
        raise StackError(f"Airflow says that its {component} is {found or 'not there'}")


def _health(layout: Layout) -> dict[str, Any]:
    address = f"{layout.airflow.url()}/api/v2/monitor/health"
    try:
        with urllib.request.urlopen(address, timeout=_PROBE_TIMEOUT_S) as answer:  # noqa: S310 - ours
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError) as error:
        raise StackError(f"Airflow does not answer at {address}: {error}") from error
