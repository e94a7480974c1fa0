"""The containers' description against the local stack: no Docker engine is needed for this."""

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from configparser import RawConfigParser
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local import airflow
from infra.local.config import minio_environment
from infra.local.layout import Layout
from infra.local.scratch import free_ports
from infra.local.services import AIRFLOW, METRICS, SERVICES
from infra.setup import credentials
from ingestion.settings import (
    ROOT,
    SECTIONS,
    AirflowSettings,
    AlphaVantageSettings,
    FinnhubSettings,
    KafkaSettings,
    LakeSettings,
    LandSettings,
    LimitsSettings,
    ProduceSettings,
    PrometheusSettings,
    ServingSettings,
    SnowflakeSettings,
    StoreSettings,
    WarehouseSettings,
    YahooSettings,
)
from spark_jobs.jvm import JARS
from tests.conftest import RunningStack, StackFactory

VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:(:-|:\?)([^}]*))?\}")
# Where the image has the checkout.
INSIDE = "/tapehouse"


def keys(*identities: str) -> set[str]:
    return {f"STORE_{one}_{part}_KEY" for one in identities for part in ("ACCESS", "SECRET")}


def passwords(*users: str) -> set[str]:
    return {f"KAFKA_{user}_PASSWORD" for user in users}


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "infra" / "compose.yaml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_every_variable_is_a_setting_of_ours(text: str) -> None:
    known = set().union(*(section.variables() for section in SECTIONS))
    assert {name for name, _, _ in VARIABLE.findall(text)} <= known


def test_a_credential_has_no_default_and_says_what_to_do(text: str) -> None:
    used = [match for match in VARIABLE.findall(text) if match[0] in credentials.credentials()]
    # The containers have no Spark cluster (jobs there get a master of their own), no Superset.
    elsewhere = {credentials.SPARK_SECRET, *credentials.SUPERSET_SECRETS}
    made = set(credentials.credentials()) - elsewhere
    assert {name for name, _, _ in used} == made
    assert {(operator, rest) for _, operator, rest in used} == {(":?", "run make setup")}


def test_defaults_are_those_of_the_settings(text: str) -> None:
    defaults = {
        f"{section.model_config['env_prefix']}{name}".upper(): str(field.default)
        for section in (
            *(KafkaSettings, StoreSettings, LandSettings, AirflowSettings, PrometheusSettings),
        )
        for name, field in section.model_fields.items()
    }
    for name, operator, value in VARIABLE.findall(text):
        if operator == ":-":
            assert value == defaults[name], name


def test_no_secret_is_a_literal(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY|ROOT_USER", variable):
                assert re.fullmatch(r"\$\{[A-Z_]+:\?run make setup\}", value), (name, variable)


def test_ports_are_the_local_ones_on_loopback(compose: dict[str, Any]) -> None:
    services = compose["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "kafka": ["127.0.0.1:${KAFKA_PORT:-19092}:${KAFKA_PORT:-19092}"],
        "store": ["127.0.0.1:${STORE_PORT:-19000}:${STORE_PORT:-19000}"],
        "airflow-api": ["127.0.0.1:${AIRFLOW_PORT:-18090}:${AIRFLOW_PORT:-18090}"],
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-19090}:9090"],
    }


def test_the_services_are_those_of_the_local_stack(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {*SERVICES, "init", *AIRFLOW, "airflow-init", *METRICS}
    assert services["exporter"]["command"] == ["python", "-m", "infra.prometheus", "exporter"]
    assert services["lander"]["command"] == ["python", "-m", "ingestion", "land"]
    assert services["init"]["command"] == ["python", "-m", "infra.local", "provision"]
    for name in AIRFLOW:
        assert services[name]["command"] == ["python", *airflow.command(name)[1:]]


def test_airflow_and_prometheus_are_started_on_request_alone(compose: dict[str, Any]) -> None:
    asked = {
        name: service["profiles"]
        for name, service in compose["services"].items()
        if service.get("profiles")
    }
    assert asked == {
        **{name: ["airflow"] for name in (*AIRFLOW, "airflow-init")},
        **{name: ["prometheus"] for name in METRICS},
    }


def test_airflow_waits_comes_back_and_is_asked_as_here(compose: dict[str, Any]) -> None:
    for name in AIRFLOW:
        service = compose["services"][name]
        assert "airflow-init" in service["depends_on"], name
        assert service["restart"] == "unless-stopped"
        asked = ["CMD", "python", "-m", "infra.local", "airflow-health", name]
        assert service["healthcheck"]["test"] == asked
        # Tasks and services find each other's files: the warehouse, gold, logs, ledgers.
        assert service["volumes"] == compose["services"]["airflow-init"]["volumes"]
    # What tasks and sensors ask for is there before them.
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "init" in compose["services"][name]["depends_on"]


@pytest.mark.parametrize(
    ("service", "names"),
    [
        ("airflow-init", set(credentials.AIRFLOW_SECRETS)),
        ("airflow-api", set()),
        ("airflow-processor", set()),
        ("airflow-triggerer", keys("LANDER", "LOADER") | passwords("LANDER")),
        (
            "airflow-scheduler",
            keys("LANDER", "LAKE", "LOADER", "AUDITOR")
            | passwords("PRODUCER", "LANDER", "AUDITOR"),
        ),
        ("exporter", keys("LOADER") | passwords("AUDITOR")),
    ],
)
def test_a_service_gets_the_credentials_it_needs(
    compose: dict[str, Any], service: str, names: set[str]
) -> None:
    given = set(compose["services"][service]["environment"])
    assert given & set(credentials.credentials()) == names


def test_tasks_get_every_setting_that_is_no_place_of_this_machine(compose: dict[str, Any]) -> None:
    providers = (ProduceSettings, LimitsSettings, YahooSettings, FinnhubSettings)
    stores = (LakeSettings, WarehouseSettings, SnowflakeSettings, ServingSettings)
    sections = (*providers, AlphaVantageSettings, *stores)
    known = set().union(*(one.variables() for one in sections))
    # Folders are in the shared volume; there is no cluster, and no stream.
    places = {"PRODUCE_SPOOL_DIR", "LAKE_PINS_DIR", "WAREHOUSE_GOLD_DIR"}
    other = {"LAKE_MASTER", "LAKE_EXECUTOR_MEMORY"}
    # Tasks come and go: nobody could scrape them.
    far = ("LAKE_STREAM_", "LAKE_CLUSTER_", "PRODUCE_METRICS_")
    # Administrators and readers are no tasks.
    others = ("SNOWFLAKE_ADMIN_", "SNOWFLAKE_READER_", "SERVING_READER_")
    bootstrap = {
        f"SNOWFLAKE_{name}" for name in ("ALLOWED_IPS", "MONTHLY_CREDITS", "STORAGE_ROLE_ARN")
    }
    unused = {name for name in known if name.startswith((*far, *others))}
    given = set(compose["services"]["airflow-scheduler"]["environment"])
    assert known - given == places | other | bootstrap | unused


def test_all_of_airflow_knows_the_warehouse_and_the_exchange(compose: dict[str, Any]) -> None:
    """DAGs are made of both, wherever they are parsed."""
    for name in ("airflow-init", *AIRFLOW):
        given = compose["services"][name]["environment"]
        for setting in ("WAREHOUSE_ENGINE", "TAPEHOUSE_CALENDAR"):
            # A default written out would win over what .env does not set.
            assert given.get(setting, "missing") is None, (name, setting)


def test_the_lander_gets_its_own_credentials_and_no_others(compose: dict[str, Any]) -> None:
    names = set(compose["services"]["lander"]["environment"]) & set(credentials.credentials())
    assert names == {"KAFKA_LANDER_PASSWORD", "STORE_LANDER_ACCESS_KEY", "STORE_LANDER_SECRET_KEY"}


def test_the_lander_gets_every_setting_of_landing(compose: dict[str, Any]) -> None:
    given = compose["services"]["lander"]["environment"]
    settings = {name: value for name, value in given.items() if name.startswith("LAND_")}
    assert set(settings) == LandSettings.variables()
    # A default written out would take the place of what the profile sets.
    told = {name for name, value in settings.items() if value is not None}
    assert told == {"LAND_METRICS_PORT", "LAND_METRICS_ADDRESS"}


def test_kafka_is_the_version_of_the_jars(compose: dict[str, Any]) -> None:
    pom = ET.parse(ROOT / "infra" / "jars" / "pom.xml")
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    (version,) = [
        dependency.findtext("m:version", namespaces=space)
        for dependency in pom.iterfind(".//m:dependency", space)
        if dependency.findtext("m:artifactId", namespaces=space) == "kafka_2.13"
    ]
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{version}"


def test_mounted_files_exist(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "infra" / source).exists(), volume
            else:
                assert source in compose["volumes"], volume
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()


@pytest.mark.integration
def test_the_store_has_the_same_switches(compose: dict[str, Any], stack: RunningStack) -> None:
    local = dict(line.split("=", 1) for line in minio_environment(stack.layout).splitlines())
    inside = compose["services"]["store"]["environment"]
    assert set(local) == set(inside)
    for switch in ("MINIO_BROWSER", "MINIO_UPDATE", "MINIO_CALLHOME_ENABLE"):
        assert local[switch] == inside[switch]


@pytest.fixture
def container_kafka(
    stack_factory: StackFactory, tools: None, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Kafka as the container starts it, from this machine's jars; the settings it runs with."""
    env_file, _ = stack_factory.prepare("container")
    values = credentials.values(env_file) | {
        "KAFKA_DATA_DIR": str(tmp_path / "data"),
        "KAFKA_RUN_DIR": str(tmp_path / "run"),
        "KAFKA_JARS": str(ROOT / ".tools" / "kafka-jars"),
        "KAFKA_BIND": "127.0.0.1",
        "KAFKA_INTERNAL_HOST": "127.0.0.1",
        "KAFKA_INTERNAL_PORT": free_ports()["KAFKA_PORT"],
    }
    with (tmp_path / "log").open("w") as log:
        broker = psutil.Popen(
            [str(ROOT / "infra" / "kafka" / "start.sh")],
            env=os.environ | values,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    yield values | {"log": str(tmp_path / "log"), "pid": str(broker.pid)}
    broker.terminate()
    broker.wait(30)


@pytest.mark.integration
def test_the_containers_start_script_runs_a_broker_with_the_same_users(
    container_kafka: dict[str, str], tmp_path: Path
) -> None:
    config = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "log_level": 0,
    }
    for port in ("KAFKA_PORT", "KAFKA_INTERNAL_PORT"):
        client = AdminClient(
            config
            | {
                "bootstrap.servers": f"127.0.0.1:{container_kafka[port]}",
                "sasl.username": "lander",
                "sasl.password": container_kafka["KAFKA_LANDER_PASSWORD"],
            }
        )
        try:
            assert client.list_topics(timeout=60).brokers, port
        except KafkaException as error:
            pytest.fail(f"{error}\n{Path(container_kafka['log']).read_text()[-2000:]}")
    command = " ".join(psutil.Process(int(container_kafka["pid"])).cmdline())
    assert container_kafka["KAFKA_ADMIN_PASSWORD"] not in command
    assert not list((tmp_path / "run").glob("*.args"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the Dockerfile puts into the image of Airflow, jars aside, in a folder."""
    root = tmp_path_factory.mktemp("image")
    lines = (ROOT / "infra" / "Dockerfile").read_text().partition("AS lander\n")[2].splitlines()
    copied = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    for source, target in [words for words in copied if len(words) == 2]:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "target", "logs", ".user.yml")
            shutil.copytree(ROOT / source, root / target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, root / target)
    (root / "var").mkdir()
    return root


@dataclass(frozen=True)
class Container:
    """A service of the compose file as a process of this machine, in the image's folder."""

    image: Path
    variables: dict[str, str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.image,
            env={name: os.environ[name] for name in ("PATH", "HOME")} | self.variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def containers(image: Path, compose: dict[str, Any]) -> Callable[[str], Container]:
    made = {name: make() for name, make in credentials.credentials().items()}

    def fill_in(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        return made[name] if operator == ":?" else made.get(name, rest)

    def container(name: str) -> Container:
        given = compose["services"][name]["environment"].items()
        told = {key: VARIABLE.sub(fill_in, value) for key, value in given if value is not None}
        inside = {key: value.replace(INSIDE, str(image)) for key, value in told.items()}
        return Container(image, inside)

    return container


@pytest.fixture(scope="module")
def prepared(containers: Callable[[str], Container], compose: dict[str, Any]) -> Path:
    """The image's folder after `airflow-init`."""
    init = containers("airflow-init")
    _, *command = compose["services"]["airflow-init"]["command"]
    done = init.run(*command)
    assert done.returncode == 0, done.stderr
    return init.image


def test_the_init_container_makes_all_that_airflow_starts_from(prepared: Path) -> None:
    state = prepared / "var"
    found = RawConfigParser()
    found.read(state / "run" / airflow.CONFIGURATION)

    assert found["api"]["host"] == "0.0.0.0"
    assert found["api"]["base_url"] == "http://127.0.0.1:18090"
    assert found["core"]["execution_api_server_url"] == "http://airflow-api:18090/execution/"
    assert found["core"]["executor"] == "orchestration.executor.WarmLocalExecutor"
    assert found["database"]["sql_alchemy_conn"] == f"sqlite:///{state}/airflow/airflow.db"
    for path in found["core"]["dags_folder"], found["core"]["plugins_folder"]:
        assert (prepared / path).is_dir()
    for name in (airflow.CONFIGURATION, airflow.PASSWORDS):
        assert stat.S_IMODE((state / "run" / name).stat().st_mode) == 0o600
    with closing(sqlite3.connect(state / "airflow" / "airflow.db")) as database:
        pools = {name for (name,) in database.execute("select pool from slot_pool")}
    assert {"duckdb_writer", "spark", "provider"} <= pools
    assert (state / "airflow" / "dbt" / "manifest.json").is_file()


def test_services_find_what_local_ones_find(
    prepared: Path, containers: Callable[[str], Container], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(prepared / ".env"))
    layout = Layout.load()
    # There is no supervisor whose mark a process could overwrite.
    local = airflow.environment(layout).items() - {("SPT_NOENV", "1")}
    wanted = {name: value.replace(str(ROOT), str(prepared)) for name, value in local}
    for name in ("airflow-init", *AIRFLOW):
        found = containers(name).variables
        assert {key: found.get(key) for key in wanted} == wanted, name


def test_the_image_has_all_that_dags_are_made_of(
    prepared: Path, containers: Callable[[str], Container]
) -> None:
    processor = containers("airflow-processor")
    done = processor.run("-m", "airflow", "dags", "list", "--local", "--output", "json")
    assert done.returncode == 0, done.stderr
    found = {one["dag_id"] for one in json.loads(done.stdout[done.stdout.index("[{") :])}
    assert found == {path.stem for path in (prepared / "dags").glob("*.py")}


def test_the_image_has_all_that_tasks_run(
    prepared: Path, containers: Callable[[str], Container]
) -> None:
    text = "".join(path.read_text() for path in (prepared / "dags").glob("*.py"))
    modules = set(re.findall(r"command=\[\"([a-z_.]+)\"", text))
    assert modules == {
        *("infra.local", "ingestion", "spark_jobs", "dbt_stocks", "audit", "orchestration.prune")
    }
    scheduler = containers("airflow-scheduler")
    for module in modules:
        done = scheduler.run("-m", module, "--help")
        assert done.returncode == 0, done.stderr


def test_spark_s_jars_are_where_its_sessions_look(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()
    assert f"COPY --from=jars /jars {JARS.relative_to(ROOT)}\n" in dockerfile
    assert "mvn -B -P spark package -Djars.dir=/jars\n" in dockerfile


@pytest.mark.integration
def test_the_init_container_provisions_running_services(stack: RunningStack) -> None:
    done = stack.run("infra.local", "provision")
    assert done.returncode == 0, done.stderr
    assert "0 created or changed" in done.stdout
