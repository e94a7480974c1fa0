"""``status`` without a supervisor here: a stack as a task in a container sees it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from infra.local.layout import Layout
from infra.local.status import look
from infra.setup import credentials
from ingestion.errors import StackError
from ingestion.settings import ROOT
from tests.conftest import RunningStack
from tests.support import wait_for

NOWHERE = "http://127.0.0.1:9"
Health = Callable[..., dict[str, str]]


@pytest.fixture
def inside(stack: RunningStack, tmp_path: Path) -> dict[str, str]:
    """The settings of such a task: addresses, the auditor's password, no state of the stack's."""
    values = credentials.values(stack.env_file)
    return {
        "TAPEHOUSE_ENV_FILE": str(tmp_path / "none"),
        "TAPEHOUSE_STATE_DIR": str(tmp_path / "var"),
        "KAFKA_BOOTSTRAP_SERVERS": stack.layout.kafka.servers(),
        "KAFKA_AUDITOR_PASSWORD": values["KAFKA_AUDITOR_PASSWORD"],
        "STORE_ENDPOINT": stack.layout.store.url(),
    }


@pytest.fixture
def health(inside: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Health:
    def ask(**settings: str) -> dict[str, str]:
        for name, value in (inside | settings).items():
            monkeypatch.setenv(name, value)
        found = look(Layout.load())
        assert found.is_healthy == ({one.health for one in found.services} == {"healthy"})
        return {one.name: one.health for one in found.services}

    return ask


@pytest.fixture
def member(stack: RunningStack) -> Iterator[None]:
    """Somebody in the landers' group."""
    kafka = stack.layout.kafka
    ours = {"group.id": kafka.landers_group, "enable.auto.commit": False}
    with closing(Consumer({**kafka.client("lander"), **ours})) as consumer:
        consumer.subscribe(["stock-quotes"])
        wait_for(lambda: (consumer.poll(0.1), consumer.assignment())[1])
        yield


@pytest.mark.integration
@pytest.mark.usefixtures("member")
def test_what_answers_is_healthy_whoever_runs_it(inside: dict[str, str], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", "status", "--report", str(report)],
        cwd=ROOT,
        env=os.environ | inside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text())
    names = {one["name"]: one["health"] for one in told["services"]}
    assert names == dict.fromkeys(("kafka", "store", "lander"), "healthy")


@pytest.mark.integration
def test_what_does_not_answer_is_named_alone(health: Health) -> None:
    found = health(STORE_ENDPOINT=NOWHERE)
    assert found["store"].startswith(f"does not answer at {NOWHERE}")
    assert found["kafka"] == "healthy"


@pytest.mark.integration
def test_without_a_broker_nobody_can_say_that_landers_are_there(health: Health) -> None:
    found = health(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert found["kafka"].startswith("does not answer at 127.0.0.1:9")
    assert found["lander"].startswith("group landers: ")
    assert found["store"] == "healthy"


@pytest.mark.integration
def test_a_group_without_a_member_is_no_lander(health: Health) -> None:
    found = health(KAFKA_LANDERS_GROUP="nobodys")
    assert found["lander"] == "no lander is in the group nobodys"
    assert (found["kafka"], found["store"]) == ("healthy", "healthy")


@pytest.mark.integration
def test_airflow_is_asked_where_its_address_is_set(health: Health) -> None:
    found = health(AIRFLOW_API_URL=NOWHERE)
    for name in ("api", "scheduler", "processor", "triggerer"):
        assert found[f"airflow-{name}"].startswith(f"Airflow does not answer at {NOWHERE}/api/v2")


@pytest.mark.integration
def test_only_what_is_asked_for_is_looked_at(
    inside: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (inside | {"AIRFLOW_API_URL": NOWHERE}).items():
        monkeypatch.setenv(name, value)
    layout = Layout.load()

    found = look(layout, ("kafka", "store"))

    assert [one.name for one in found.services] == ["kafka", "store"]
    assert found.is_healthy
    with pytest.raises(StackError, match="cannot ask superset from here, only kafka, store"):
        look(layout, ("kafka", "superset"))


@pytest.mark.integration
def test_a_supervisor_that_runs_is_asked_first(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", stack.layout.kafka.servers())
    monkeypatch.setenv("STORE_ENDPOINT", stack.layout.store.url())
    # It knows more than the network tells.
    found = {one.name: one.pid is not None for one in look(Layout.load()).services}
    assert found == {"kafka": True, "store": True, "lander": False}
