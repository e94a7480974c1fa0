"""What each service is: its files, its command, its ports, and how to see that it works."""

import hashlib
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from infra.local import airflow, config, kafka, spark, superset
from infra.local.layout import DECLARATIONS, Layout, java
from infra.local.ports import HOST
from infra.prometheus import configuration
from infra.setup import prometheus as tools
from ingestion.errors import StackError
from ingestion.settings import ROOT, PrometheusSettings, StoreRole

ServiceName = Literal[
    "kafka",
    "store",
    "lander",
    "spark-master",
    "spark-worker-1",
    "spark-worker-2",
    "airflow-api",
    "airflow-scheduler",
    "airflow-processor",
    "airflow-triggerer",
    "superset",
    "exporter",
    "prometheus",
]
SERVICES: tuple[ServiceName, ...] = ("kafka", "store", "lander")
CLUSTER: tuple[ServiceName, ...] = ("spark-master", "spark-worker-1", "spark-worker-2")
AIRFLOW: tuple[ServiceName, ...] = (
    "airflow-api",
    "airflow-scheduler",
    "airflow-processor",
    "airflow-triggerer",
)
SUPERSET: tuple[ServiceName, ...] = ("superset",)
METRICS: tuple[ServiceName, ...] = ("exporter", "prometheus")
KNOWN: tuple[ServiceName, ...] = get_args(ServiceName)

PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class Service:
    """One supervised process; ``files`` and ``ports`` are what it needs to start."""

    name: ServiceName
    command: Sequence[str]
    probe: Callable[[], None]
    """Returns when the service works, raises StackError with the reason when it does not."""

    files: dict[str, str] = field(default_factory=dict)
    """Name below the run folder to content; a change restarts the service."""

    ports: dict[str, int] = field(default_factory=dict)
    """Variable that sets the port to the port."""

    environment: dict[str, str] = field(default_factory=dict)
    start_wait_s: float = 180.0
    stop_wait_s: int = 20

    def command_line(self) -> str:
        """Return the command quoted for supervisor, which expands percent signs."""
        return shlex.join(self.command).replace("%", "%%")


def service(name: ServiceName, layout: Layout) -> Service:
    """Return the service of this name as the settings want it.

    Raises:
        StackError: a tool that it needs is not installed.
    """
    if name == "spark-master":
        return _spark_master(layout)
    if name in CLUSTER:
        return _spark_worker(layout, name)
    if name in AIRFLOW:
        return _airflow(layout, name)
    builders = {
        "kafka": _kafka,
        "store": _store,
        "lander": _lander,
        "superset": _superset,
        "exporter": _exporter,
        "prometheus": _prometheus,
    }
    return builders[name](layout)


def health(one: Service) -> str | None:
    """Return None where a running service works, else the reason."""
    try:
        one.probe()
    except StackError as error:
        return str(error)
    return None


def broker_command(layout: Layout, properties: str, memory: Sequence[str]) -> list[str]:
    """Return the command of a broker; ``properties`` is the name of its file in the run folder.

    Raises:
        StackError: Java or Kafka is not installed.
    """
    return [
        java(),
        *memory,
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
        "-cp",
        f"{layout.tool('kafka-jars')}/*",
        "kafka.Kafka",
        str(layout.run / properties),
    ]


def _kafka(layout: Layout) -> Service:
    return Service(
        name="kafka",
        command=broker_command(layout, "kafka.properties", ("-Xms256m", "-Xmx512m")),
        probe=lambda: kafka.probe(layout),
        files={"kafka.properties": config.kafka_properties(layout, kafka.data_folder(layout))},
        ports={
            "KAFKA_PORT": layout.kafka.port,
            "KAFKA_CONTROLLER_PORT": layout.kafka.controller_port,
        },
        stop_wait_s=30,
    )


def _store(layout: Layout) -> Service:
    if layout.store.kind == "s3proxy":
        return _s3proxy(layout)
    if layout.store.kind == "minio":
        return _minio(layout)
    raise StackError("STORE_KIND=s3 is a store elsewhere: the local stack does not start it")


def _minio(layout: Layout) -> Service:
    return Service(
        name="store",
        command=[
            str(layout.tool("minio")),
            "server",
            "--address",
            f"{HOST}:{layout.store.port}",
            str(layout.state / "store" / "minio"),
        ],
        # Not ".../ready": that answers 200 before the server serves its first request.
        probe=lambda: probe_http(f"http://{HOST}:{layout.store.port}/minio/health/cluster"),
        files={"minio.env": config.minio_environment(layout)},
        ports={"STORE_PORT": layout.store.port},
        environment={"MINIO_CONFIG_ENV_FILE": str(layout.run / "minio.env")},
    )


def _s3proxy(layout: Layout) -> Service:
    files = {
        f"s3proxy-{role}.properties": config.s3proxy_properties(layout, role)
        for role in get_args(StoreRole)
    }
    arguments = [part for name in files for part in ("--properties", str(layout.run / name))]
    return Service(
        name="store",
        command=[
            java(),
            "-Xmx256m",
            f"-Dlogback.configurationFile={DECLARATIONS / 'jars' / 'logback.xml'}",
            "-cp",
            f"{layout.tool('s3proxy-jars')}/*",
            "org.gaul.s3proxy.Main",
            *arguments,
        ],
        probe=lambda: probe_http(f"http://{HOST}:{layout.store.port}/"),
        files=files,
        ports={"STORE_PORT": layout.store.port},
    )


def _lander(layout: Layout) -> Service:
    return Service(
        name="lander",
        command=[sys.executable, "-m", "ingestion", "land"],
        probe=lambda: None,  # supervisor's own check that it stays up is all there is to ask
        # The digest makes a changed settings file a changed program: `up` then restarts it.
        environment={
            "PYTHONPATH": str(ROOT),
            "TAPEHOUSE_SETTINGS_SHA256": _settings_digest(layout),
        },
        stop_wait_s=30,
    )


def _spark_master(layout: Layout) -> Service:
    return Service(
        name="spark-master",
        command=spark.master(layout),
        probe=lambda: spark.probe(layout, workers=0),
        files={spark.PROPERTIES: spark.configuration(layout)},
        ports={
            "LAKE_CLUSTER_PORT": layout.lake.cluster_port,
            "LAKE_CLUSTER_UI_PORT": layout.lake.cluster_ui_port,
        },
        environment=spark.environment(layout),
    )


def _spark_worker(layout: Layout, name: ServiceName) -> Service:
    return Service(
        name=name,
        command=spark.worker(layout),
        # The master tells how many live, not who: the second one waits for both.
        probe=lambda: spark.probe(layout, workers=CLUSTER.index(name)),
        files={spark.PROPERTIES: spark.configuration(layout)},
        environment=spark.environment(layout),
    )


def _airflow(layout: Layout, name: ServiceName) -> Service:
    return Service(
        name=name,
        command=airflow.command(name),
        probe=lambda: airflow.probe(layout, name),
        files=airflow.files(layout),
        ports={"AIRFLOW_PORT": layout.airflow.port} if name == AIRFLOW[0] else {},
        # As for the lander: tasks have every setting from their service.
        environment=airflow.environment(layout)
        | {"TAPEHOUSE_SETTINGS_SHA256": _settings_digest(layout)},
        stop_wait_s=30,
    )


def _superset(layout: Layout) -> Service:
    return Service(
        name="superset",
        command=superset.command(layout),
        probe=lambda: superset.probe(layout),
        files=superset.files(layout),
        ports={"SUPERSET_PORT": layout.superset.port},
        environment=superset.environment(layout),
        start_wait_s=600,  # it imports 150 packages: seconds, or minutes where all cores are busy
    )


def _exporter(layout: Layout) -> Service:
    settings = PrometheusSettings.load()
    return Service(
        name="exporter",
        command=[sys.executable, "-m", "infra.prometheus", "exporter"],
        # The one path at which it does not ask every source.
        probe=lambda: probe_http(f"http://{HOST}:{settings.exporter_port}/favicon.ico"),
        ports={"PROMETHEUS_EXPORTER_PORT": settings.exporter_port},
        environment={
            "PYTHONPATH": str(ROOT),
            "TAPEHOUSE_SETTINGS_SHA256": _settings_digest(layout),
        },
    )


def _prometheus(layout: Layout) -> Service:
    port = PrometheusSettings.load().port
    program = tools.find("prometheus")
    if program is None:
        raise StackError("Prometheus is not installed: run `make prometheus`")
    rules = f"{configuration.RULES}/*.yml"
    assets = Path(program).parents[1] / "share" / "prometheus" / "web"
    return Service(
        name="prometheus",
        command=[
            program,
            f"--config.file={layout.run / 'prometheus.yml'}",
            f"--storage.tsdb.path={layout.state / 'prometheus'}",
            f"--web.listen-address={HOST}:{port}",
            # Debian's own option: its pages lie beside the program.
            *([f"--web.local-assets={assets}"] if assets.is_dir() else []),
        ],
        probe=lambda: probe_http(f"http://{HOST}:{port}/-/ready"),
        files={"prometheus.yml": configuration.render(configuration.local(), rules)},
        ports={"PROMETHEUS_PORT": port},
    )


def _settings_digest(layout: Layout) -> str:
    content = layout.env_file.read_bytes() if layout.env_file.is_file() else b""
    return hashlib.sha256(content).hexdigest()


def probe_http(url: str) -> None:
    """Return where something answers at a URL, be it that it wants credentials.

    Raises:
        StackError: nothing does, or it says that it is broken.
    """
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT_S):  # noqa: S310 - our own http URL
            return
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise StackError(f"answers with status {error.code}") from error
    except OSError as error:
        raise StackError(f"does not answer at {url}: {error}") from error
