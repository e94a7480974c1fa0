"""A Spark cluster on this machine: one master, two workers, from the pyspark package."""

import json
import os
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from infra.local.config import properties
from infra.local.layout import Layout, java
from infra.local.ports import HOST
from ingestion.errors import StackError

PROPERTIES: Final = "spark.properties"
_DAEMON_MEMORY: Final = "-Xmx256m"
_PROBE_TIMEOUT_S: Final = 2.0
_DAY_S: Final = 24 * 3600


def master(layout: Layout) -> list[str]:
    """Return the master's command."""
    ports = [
        "--port",
        str(layout.lake.cluster_port),
        "--webui-port",
        str(layout.lake.cluster_ui_port),
    ]
    return [*_daemon(layout, "master.Master"), *ports, *_properties(layout)]


def worker(layout: Layout) -> list[str]:
    """Return a worker's command: half of the machine's cores, one executor's memory."""
    size = [
        *("--cores", str(max(1, (os.cpu_count() or 1) // 2))),
        *("--memory", layout.lake.executor_memory),
    ]
    place = ["--port", "0", "--webui-port", "0", "--work-dir", str(layout.state / "spark" / "work")]
    return [
        *_daemon(layout, "worker.Worker"),
        *size,
        *place,
        *_properties(layout),
        f"spark://{HOST}:{layout.lake.cluster_port}",
    ]


def environment(layout: Layout) -> dict[str, str]:
    """Return what the daemons, and the executors below them, find in their environment."""
    return {
        "SPARK_LOCAL_IP": HOST,
        "SPARK_HOME": str(_home()),
        # What `spark-class` would find out; workers start executors without it.
        "SPARK_SCALA_VERSION": _scala(),
        "SPARK_LOCAL_DIRS": str(layout.state / "spark" / "tmp"),
    }


def configuration(layout: Layout) -> str:
    """Return the daemons' properties file: nobody without the secret may submit or join."""
    return properties(
        {
            "spark.authenticate": "true",
            "spark.authenticate.secret": layout.lake.secret(),
            "spark.ui.killEnabled": "false",
            "spark.worker.cleanup.enabled": "true",
            "spark.worker.cleanup.appDataTtl": str(_DAY_S),
        }
    )


def probe(layout: Layout, workers: int) -> None:
    """Return where the master answers and knows so many living workers.

    Raises:
        StackError: it does not.
    """
    alive = int(state(layout)["aliveworkers"])
    if alive < workers:
        raise StackError(f"the master knows {alive} living workers, expected {workers}")


def state(layout: Layout) -> dict[str, Any]:
    """Return what the master tells of itself, its workers and its applications.

    Raises:
        StackError: it does not answer.
    """
    url = f"http://{HOST}:{layout.lake.cluster_ui_port}/json/"
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError) as error:
        raise StackError(f"Spark's master does not answer at {url}: {error}") from error


def _daemon(layout: Layout, name: str) -> list[str]:
    (layout.state / "spark" / "tmp").mkdir(parents=True, exist_ok=True)
    flags = [_DAEMON_MEMORY, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    jars = f"{_home()}/jars/*"
    return [java(), *flags, "-cp", jars, f"org.apache.spark.deploy.{name}", "--host", HOST]


def _properties(layout: Layout) -> list[str]:
    return ["--properties-file", str(layout.run / PROPERTIES)]


def _scala() -> str:
    [core] = (_home() / "jars").glob("spark-core_*.jar")
    return core.name.removeprefix("spark-core_").partition("-")[0]


def _home() -> Path:
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise StackError("pyspark is not installed: run `make setup`")
    return Path(found.origin).parent
