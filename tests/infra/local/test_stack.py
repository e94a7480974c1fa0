"""The stack as a whole: start, side by side, changed settings, hard kills, stop."""

import os
import signal
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from infra.local import files, kafka, ports, processes, store, topics
from infra.local.layout import Layout
from infra.local.scratch import free_ports
from infra.local.services import SERVICES, service
from infra.local.stack import Stack
from infra.local.status import look
from infra.local.supervisor import render
from infra.setup import credentials
from ingestion.errors import SettingsError, StackError
from tests.conftest import RunningStack, StackFactory, in_force

pytestmark = pytest.mark.integration


@pytest.fixture
def other(stack: RunningStack, stack_factory: StackFactory) -> Iterator[RunningStack]:
    """A second store beside the shared stack."""
    name = f"other-{len(stack_factory.made)}"
    running = stack_factory.make(name, ("store",))
    yield running
    running.stack.down()


def command_lines(state: Path) -> list[str]:
    return [" ".join(process.cmdline()) for process in processes.of_stack(state)]


def test_up_again_is_harmless(stack: RunningStack) -> None:
    before = {p.pid for p in processes.of_stack(stack.state_dir)}
    lines: list[str] = []

    Stack(stack.layout, report=lines.append).up(("kafka", "store"))

    assert {p.pid for p in processes.of_stack(stack.state_dir)} == before
    assert lines[-1] == "topics, users, buckets, policies: 0 created or changed"


def test_the_services_listen_on_loopback_only(stack: RunningStack) -> None:
    addresses = {
        connection.laddr.ip
        for process in processes.of_stack(stack.state_dir)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses
    assert all(ip_address(address.removeprefix("::ffff:")).is_loopback for address in addresses)


def test_no_secret_is_on_a_command_line_or_in_the_supervisors_file(stack: RunningStack) -> None:
    values = credentials.values(stack.env_file)
    secrets = [values[name] for name in credentials.credentials()]
    public = "\n".join(command_lines(stack.state_dir))
    public += (stack.layout.run / "supervisord.conf").read_text()

    assert "kafka.Kafka" in public
    assert not [secret for secret in secrets if secret in public]


def test_what_holds_secrets_is_private(stack: RunningStack) -> None:
    run = stack.layout.run
    assert run.stat().st_mode & 0o077 == 0
    for name in ("kafka.properties", "minio.env", "kafka-users.json"):
        assert (run / name).stat().st_mode & 0o077 == 0, name
    assert not list(run.glob("format.*")), "the files that formatting needed are gone"


def test_no_secret_is_logged(stack: RunningStack) -> None:
    values = credentials.values(stack.env_file)
    secrets = [values[n] for n in credentials.credentials() if not n.endswith("_ACCESS_KEY")]
    logs = list(stack.layout.log.iterdir())
    assert sum(log.stat().st_size for log in logs) > 0, "nothing was logged"
    for log in logs:
        text = log.read_text(errors="replace")
        assert not [secret for secret in secrets if secret in text], log.name


def test_status_shows_process_port_health_and_memory(stack: RunningStack) -> None:
    found = {one.name: one for one in look(stack.layout).services}

    assert found["kafka"].is_healthy
    assert found["store"].is_healthy
    assert found["kafka"].memory_bytes > 50 * 2**20
    assert found["store"].ports == (stack.layout.store.port,)
    assert not found["lander"].is_healthy


def test_the_command_exits_1_when_a_service_does_not_run(stack: RunningStack) -> None:
    done = stack.run("infra.local", "status", "--report", str(stack.state_dir / "status.json"))

    assert done.returncode == 1
    assert "healthy" in done.stdout
    assert "stock-market-dlq/0" in done.stdout
    assert (stack.state_dir / "status.json").is_file()


def test_only_what_is_asked_for_is_looked_at(stack: RunningStack) -> None:
    """Whoever needs Kafka and the store does not mind that no lander runs."""
    assert stack.run("infra.local", "status", "kafka", "store").returncode == 0
    assert {one.name for one in look(stack.layout, ("kafka",)).services} == {"kafka"}

    found = look(stack.layout, ("lander",))

    assert [one.health for one in found.services] == ["stopped"]
    assert found.landers.partitions, "Kafka was asked for their lag"


def test_what_is_asked_for_and_does_not_run_is_not_healthy(stack: RunningStack) -> None:
    found = look(stack.layout, ("store", "exporter"))
    assert {one.name: one.health for one in found.services} == {
        "store": "healthy",
        "exporter": "stopped",
    }
    assert not found.is_healthy

    done = stack.run("infra.local", "status", "kafak")
    assert done.returncode == 1
    assert "no service kafak; there are kafka, store, lander" in done.stderr


def test_lag_is_what_the_landers_have_not_committed(stack: RunningStack) -> None:
    before = look(stack.layout).landers.totals.lag
    producer = Producer({**stack.layout.kafka.client("producer")})
    for _ in range(7):
        producer.produce("stock-market-batch", b"{}")
    producer.flush(20)

    after = look(stack.layout).landers.totals.lag

    assert after - before == 7


def test_two_stacks_side_by_side_do_not_touch_each_other(
    stack: RunningStack, other: RunningStack
) -> None:
    store.client(other.layout, "lander").put_object(Bucket="bronze", Key="theirs", Body=b"x")
    mine = {p.pid for p in processes.of_stack(stack.state_dir)}
    theirs = {p.pid for p in processes.of_stack(other.state_dir)}
    assert mine
    assert theirs
    assert not mine & theirs

    other.stack.reset()

    assert not processes.of_stack(other.state_dir)
    assert not other.state_dir.exists()
    assert other.env_file.is_file(), "reset never touches the settings"
    assert {p.pid for p in processes.of_stack(stack.state_dir)} == mine
    listing = store.client(stack.layout, "lander").list_objects_v2(Bucket="bronze")
    assert "theirs" not in [o["Key"] for o in listing.get("Contents", [])]


def test_down_leaves_no_process(other: RunningStack) -> None:
    port = other.layout.store.port
    assert not ports.is_free(port)

    other.stack.down()

    assert not processes.of_stack(other.state_dir)
    assert ports.is_free(port)
    other.stack.down()  # once more is harmless


def test_down_ends_orphans_of_a_killed_supervisor(other: RunningStack) -> None:
    supervisor = int((other.layout.run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    psutil.wait_procs([p for p in [_process(supervisor)] if p], timeout=10)
    assert processes.of_stack(other.state_dir), "the store outlives its supervisor"

    other.stack.down()

    assert not processes.of_stack(other.state_dir)


def test_stop_ends_services_of_a_killed_supervisor_and_no_others(other: RunningStack) -> None:
    supervisor = int((other.layout.run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    psutil.wait_procs([p for p in [_process(supervisor)] if p], timeout=10)

    other.stack.stop(("kafka",))
    assert processes.of_services(other.state_dir, ("store",))
    other.stack.stop(("store",))

    assert not processes.of_services(other.state_dir, ("store",))


def test_up_after_a_killed_supervisor_starts_anew(other: RunningStack) -> None:
    store.client(other.layout, "lander").put_object(Bucket="bronze", Key="kept", Body=b"x")
    supervisor = int((other.layout.run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)

    other.stack.up(("store",))

    assert int((other.layout.run / "supervisord.pid").read_text()) != supervisor
    found = store.client(other.layout, "lander").get_object(Bucket="bronze", Key="kept")
    assert found["Body"].read() == b"x"


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def test_a_killed_service_is_started_again(other: RunningStack) -> None:
    (server,) = [p for p in processes.of_stack(other.state_dir) if "server" in p.cmdline()]
    server.kill()
    server.wait(10)

    other.stack.up(("store",))

    found = {one.name: one for one in look(other.layout).services}
    assert found["store"].is_healthy
    assert found["store"].pid != server.pid


def test_a_taken_port_is_named_with_its_setting_and_its_holder(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        env_file, environment = stack_factory.prepare("taken", STORE_PORT=str(port))
        monkeypatch.setenv("TAPEHOUSE_ENV_FILE", environment["TAPEHOUSE_ENV_FILE"])
        stack = Stack(Layout.load())
        stack_factory.made.append(stack)

        with pytest.raises(StackError) as failure:
            stack.up(("store",))
        assert not processes.of_stack(stack.layout.state), "what could not start leaves nothing"

    text = str(failure.value)
    assert f"port {port} is taken by" in text
    assert str(os.getpid()) in text
    assert "STORE_PORT" in text
    assert str(env_file) in text


def test_a_changed_root_password_restarts_the_store_with_it(
    other: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = other.env_file.read_text()
    old = credentials.values(other.env_file)["STORE_ROOT_SECRET_KEY"]
    other.env_file.write_text(text.replace(old, "another-root-password-of-mine"))
    in_force(other, monkeypatch)
    layout = Layout.load()

    Stack(layout).up(("store",))

    assert store.client(layout, "root").list_buckets()["Buckets"]
    assert store.client(layout, "lander").list_objects_v2(Bucket="bronze")["KeyCount"] == 0


def test_changed_kafka_passwords_are_taken_over(
    stack: RunningStack, stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = stack_factory.make(f"passwords-{len(stack_factory.made)}", ("kafka",))
    text = running.env_file.read_text()
    values = credentials.values(running.env_file)
    for role in ("ADMIN", "LANDER"):
        text = text.replace(values[f"KAFKA_{role}_PASSWORD"], f'a "new", [odd] \\ one of {role}')
    running.env_file.write_text(text)
    in_force(running, monkeypatch)
    layout = Layout.load()

    Stack(layout).up(("kafka",))

    for role in ("admin", "lander", "producer"):
        client = AdminClient({**layout.kafka.client(role), "log_level": 0})
        assert client.list_topics(timeout=20).brokers
    running.stack.down()


@pytest.mark.parametrize(
    ("key", "declared", "found"), [("partitions", 6, 4), ("retention.ms", 1000, 604800000)]
)
def test_a_topic_that_differs_is_an_error_that_names_both(
    stack: RunningStack, key: str, declared: int, found: int
) -> None:
    declaration = files.declared("kafka/topics.yml", stack.layout)
    topic = declaration["topics"]["stock-quotes"]
    topic |= {key: declared} if key == "partitions" else {"config": {key: declared}}

    with pytest.raises(StackError) as failure:
        topics.ensure(kafka.admin(stack.layout), declaration)

    assert f"declares {key}={declared}, Kafka has {key}={found}" in str(failure.value)


def test_the_vendors_default_password_is_refused(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = stack_factory.prepare("default", STORE_ROOT_SECRET_KEY="minioadmin")
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", environment["TAPEHOUSE_ENV_FILE"])

    with pytest.raises(SettingsError, match="STORE_ROOT_SECRET_KEY"):
        Layout.load()


def test_a_missing_password_is_named(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file, environment = stack_factory.prepare("missing")
    lines = env_file.read_text().splitlines()
    env_file.write_text("\n".join(line for line in lines if "LANDER_PASSWORD" not in line))
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", environment["TAPEHOUSE_ENV_FILE"])

    stack = Stack(Layout.load())
    with pytest.raises(SettingsError, match="KAFKA_LANDER_PASSWORD"):
        stack.up(("kafka",))
    assert not processes.of_stack(stack.layout.state)


def test_reset_refuses_a_state_folder_that_holds_the_checkout(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = stack_factory.prepare("root", TAPEHOUSE_STATE_DIR="..")
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", environment["TAPEHOUSE_ENV_FILE"])

    with pytest.raises(StackError, match="refusing to delete"):
        Stack(Layout.load()).reset()


def test_a_deep_state_folder_has_a_socket_that_fits(
    stack_factory: StackFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deep = tmp_path.joinpath(*["folder with a % sign"] * 6)
    _, environment = stack_factory.prepare("deep", TAPEHOUSE_STATE_DIR=str(deep), **free_ports())
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", environment["TAPEHOUSE_ENV_FILE"])
    stack = Stack(Layout.load())
    stack_factory.made.append(stack)

    stack.up(("store",))

    assert stack.layout.socket.is_socket()
    stack.down()
    assert not processes.of_stack(stack.layout.state)


def test_the_lander_stops_first_and_is_kept_running(stack: RunningStack) -> None:
    text = render(stack.layout, [service(name, stack.layout) for name in SERVICES])
    programs = dict(part.split("]", 1) for part in text.split("[program:")[1:])
    assert "priority=20" in programs["lander"]
    assert "priority=10" in programs["kafka"]
    assert all("autorestart=true" in program for program in programs.values())
    assert all("stdout_logfile_maxbytes=10MB" in program for program in programs.values())
