"""Airflow as services: a configuration that keeps its secrets, a whole start and a whole stop."""

import json
import os
import signal
import stat
import urllib.request
from collections.abc import Iterator
from configparser import RawConfigParser
from ipaddress import ip_address

import psutil
import pytest

from infra.local import __main__ as command
from infra.local import airflow, processes
from infra.local.layout import Layout
from infra.local.services import AIRFLOW, service
from infra.local.stack import Stack
from infra.local.supervisor import Supervisor, render
from ingestion.errors import StackError
from tests import postgres
from tests.conftest import RunningStack, StackFactory
from tests.postgres import Cluster
from tests.support import wait_for


@pytest.fixture
def layout(stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch) -> Layout:
    _, environment = stack_factory.prepare(f"airflow-{os.urandom(4).hex()}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Layout.load()


def configuration(layout: Layout) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(airflow.configuration(layout))
    return parser


def test_it_listens_here_alone_and_tells_nobody(layout: Layout) -> None:
    found = configuration(layout)

    assert ip_address(found["api"]["host"]).is_loopback
    assert found["api"]["port"] == str(layout.airflow.port)
    assert found["usage_data_collection"]["enabled"] == "False"
    assert found["cosmos"]["enable_telemetry"] == "False"
    assert found["core"]["load_examples"] == "False"
    assert found["core"]["executor"] == "orchestration.executor.WarmLocalExecutor"
    for name in ("airflow-scheduler", "airflow-triggerer"):
        assert "--skip-serve-logs" in airflow.command(name)


def test_metadata_is_in_sqlite_or_where_the_setting_says(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configuration(layout)["database"]["sql_alchemy_conn"].startswith("sqlite:////")

    monkeypatch.setenv("AIRFLOW_DATABASE_URL", "postgresql+psycopg2://a:p%40ss@db/airflow")
    # Airflow reads a doubled percent sign as one.
    expected = "postgresql+psycopg2://a:p%%40ss@db/airflow"
    assert configuration(Layout.load())["database"]["sql_alchemy_conn"] == expected


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres.started() as cluster:
        cluster.role("airflow")
        yield cluster


def metadata(cluster: Cluster, name: str) -> str:
    """Make an empty database; return the setting that names it."""
    cluster.run(f"create database {name} owner airflow")
    return cluster.url("airflow", name).replace("postgresql:", "postgresql+psycopg2:")


@pytest.mark.integration
def test_the_metadata_in_postgresql_is_made_with_what_is_declared(
    layout: Layout, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_DATABASE_URL", metadata(cluster, "prepared"))

    Stack(Layout.load()).prepare_airflow()

    listed = "select tablename from pg_tables where schemaname = 'public'"
    tables = {name for (name,) in cluster.rows(listed, database="prepared")}
    assert {"alembic_version", "dag_run", "task_instance", "trigger"} <= tables
    pools = {name for (name,) in cluster.rows("select pool from slot_pool", database="prepared")}
    assert {"duckdb_writer", "spark", "provider"} <= pools
    assert not (layout.state / "airflow" / "airflow.db").exists()


@pytest.mark.long
@pytest.mark.integration
def test_all_services_start_on_postgresql(stack_factory: StackFactory, cluster: Cluster) -> None:
    url = metadata(cluster, "running")
    running = stack_factory.make("on-postgresql", AIRFLOW, AIRFLOW_DATABASE_URL=url)

    heartbeats = "select distinct job_type from job where state = 'running'"
    jobs = {name for (name,) in cluster.rows(heartbeats, database="running")}
    assert jobs == {"SchedulerJob", "DagProcessorJob", "TriggererJob"}
    token = _ask(running, "/auth/token", {"username": "admin", "password": _password(running)})
    pools = _ask(running, "/api/v2/pools", token=token["access_token"])
    assert {"duckdb_writer", "spark", "provider"} <= {pool["name"] for pool in pools["pools"]}
    running.stack.down()


def test_secrets_are_in_private_files_alone(layout: Layout) -> None:
    names = ("admin_password", "secret_key", "fernet_key")
    secrets = [layout.airflow.secret(name) for name in names]  # type: ignore[arg-type]
    services = [service(name, layout) for name in AIRFLOW]

    public = render(layout, services) + json.dumps([one.environment for one in services])
    assert not [secret for secret in secrets if secret in public]
    assert not [secret for secret in secrets if secret in repr(layout.airflow)]
    private = "".join(airflow.files(layout).values())
    assert all(secret in private for secret in secrets)


@pytest.fixture(scope="module")
def running(stack_factory: StackFactory) -> Iterator[RunningStack]:
    found = stack_factory.make("with-airflow", AIRFLOW)
    yield found
    found.stack.down()


@pytest.mark.integration
def test_it_is_ready_with_what_is_declared(running: RunningStack) -> None:
    token = _ask(running, "/auth/token", {"username": "admin", "password": _password(running)})
    pools = _ask(running, "/api/v2/pools", token=token["access_token"])

    assert {"duckdb_writer", "spark", "provider"} <= {pool["name"] for pool in pools["pools"]}
    with pytest.raises(OSError, match="401"):
        _ask(running, "/auth/token", {"username": "admin", "password": "admin"})
    with pytest.raises(OSError, match="401"):
        _ask(running, "/api/v2/pools")


@pytest.mark.integration
def test_its_health_is_told_by_an_exit_code(running: RunningStack) -> None:
    for name in AIRFLOW:
        done = running.run("infra.local", "airflow-health", name)
        assert done.returncode == 0, done.stderr


def test_a_service_that_does_not_answer_or_is_unknown_is_not_healthy(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_API_URL", "http://127.0.0.1:9")
    for name, reason in (("airflow-api", "does not answer"), ("airflow", "no service airflow;")):
        monkeypatch.setattr("sys.argv", ["infra.local", "airflow-health", name])
        with pytest.raises(SystemExit) as ended:
            command.main()
        assert ended.value.code == 1
        assert reason in capsys.readouterr().err


@pytest.mark.integration
def test_nothing_of_it_listens_elsewhere(running: RunningStack) -> None:
    addresses = {
        connection.laddr.ip
        for process in processes.of_stack(running.state_dir)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert all(ip_address(address).is_loopback for address in addresses)
    for name in (airflow.CONFIGURATION, airflow.PASSWORDS):
        assert stat.S_IMODE((running.layout.run / name).stat().st_mode) == 0o600


@pytest.mark.integration
def test_a_killed_scheduler_comes_back_and_stop_leaves_nothing(running: RunningStack) -> None:
    supervisor = Supervisor(running.layout)
    pid = supervisor.processes()["airflow-scheduler"]["pid"]
    workers = [p.pid for p in psutil.Process(pid).children(recursive=True)]
    assert workers

    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: _runs_again(running, pid), 60)
    Stack(running.layout).stop(AIRFLOW)

    assert not processes.of_services(running.state_dir, AIRFLOW)
    assert not [pid for pid in workers if psutil.pid_exists(pid)]


def _runs_again(stack: RunningStack, before: int) -> bool:
    info = Supervisor(stack.layout).processes()["airflow-scheduler"]
    if info["statename"] != "RUNNING" or info["pid"] == before:
        return False
    try:
        airflow.probe(stack.layout, "airflow-scheduler")
    except StackError:
        return False
    return True


def _password(stack: RunningStack) -> str:
    return stack.layout.airflow.secret("admin_password")


def _ask(
    stack: RunningStack, path: str, body: object = None, token: str | None = None
) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(airflow.url(stack.layout) + path, data, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, object] = json.load(answer)
        return found


@pytest.mark.integration
def test_a_start_that_cannot_be_prepared_says_why(layout: Layout) -> None:
    layout.make_folders()
    (layout.run / airflow.CONFIGURATION).write_text("[core\n")

    with pytest.raises(StackError, match="preparing Airflow failed"):
        airflow.prepare(layout)
