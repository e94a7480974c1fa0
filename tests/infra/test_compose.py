"""The containers' description against the local stack: no Docker engine is needed for this."""

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local.config import minio_environment
from infra.local.scratch import free_ports
from infra.setup import credentials
from ingestion.settings import ROOT, SECTIONS, KafkaSettings, LandSettings, StoreSettings
from tests.conftest import RunningStack, StackFactory

VARIABLE = re.compile(r"\$\{([A-Z_]+)(?:(:-|:\?)([^}]*))?\}")


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
    # The containers have no Spark cluster: jobs there get a master of their own; nor Airflow.
    made = set(credentials.credentials()) - {credentials.SPARK_SECRET, *credentials.AIRFLOW_SECRETS}
    assert {name for name, _, _ in used} == made
    assert {(operator, rest) for _, operator, rest in used} == {(":?", "run make setup")}


def test_defaults_are_those_of_the_settings(text: str) -> None:
    defaults = {
        f"{section.model_config['env_prefix']}{name}".upper(): str(field.default)
        for section in (KafkaSettings, StoreSettings, LandSettings)
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
    }


def test_the_services_are_those_of_the_local_stack(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kafka", "store", "init", "lander"}
    assert compose["services"]["lander"]["command"] == ["python", "-m", "ingestion", "land"]
    assert compose["services"]["init"]["command"] == ["python", "-m", "infra.local", "provision"]


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
                assert (ROOT / "infra" / source).is_dir(), volume
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


@pytest.mark.integration
def test_the_init_container_provisions_running_services(stack: RunningStack) -> None:
    done = stack.run("infra.local", "provision")
    assert done.returncode == 0, done.stderr
    assert "0 created or changed" in done.stdout
