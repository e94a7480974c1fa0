"""What ``status`` makes of a lander that runs and does not write."""

import json
import os
from pathlib import Path

import psutil
import pytest

from infra.local import __main__ as command
from infra.local import status
from infra.local.layout import Layout
from infra.local.services import service
from infra.local.status import ServiceStatus, StackStatus
from ingestion.clock import SystemClock
from ingestion.land import overview
from ingestion.land import status as land_status
from ingestion.land.core import Core, Limits
from ingestion.land.status import StatusFile

RUNNING = {"statename": "RUNNING", "pid": os.getpid(), "start": 100, "now": 160}
ERROR = "stock-quotes/0: PutObject: AccessDenied: Access Denied."


def as_child(layout: Layout, **facts: str | None) -> ServiceStatus:
    """Return the status of a service whose child process is the lander that tells."""
    told(layout, **facts)
    parent = psutil.Process().ppid()
    return status._service(service("lander", layout), {**RUNNING, "pid": parent}, layout)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    env_file = tmp_path / "env"
    env_file.write_text(f"TAPEHOUSE_STATE_DIR={tmp_path}/var\nSTORE_KIND=s3\n")
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(env_file))
    found = Layout.load()
    found.run.mkdir(parents=True)
    return found


def told(layout: Layout, **facts: str | None) -> ServiceStatus:
    """Return the lander's status after it has told these facts."""
    file = StatusFile(land_status.path(layout.run, "x"), SystemClock())
    file.write(Core(Limits(1, 1, 1)), {}, "running")
    document = {**(file.told or {}), **facts}
    (layout.run / "lander-x.json").write_text(json.dumps(document))
    return status._service(service("lander", layout), RUNNING, layout)


def test_a_lander_that_cannot_write_is_not_healthy_until_it_can(layout: Layout) -> None:
    assert told(layout).is_healthy

    found = told(layout, error=ERROR, failing_since="2026-11-22T02:35:02.418000Z")
    assert not found.is_healthy
    assert found.health == f"not writing since 2026-11-22T02:35:02Z: {ERROR}"

    assert told(layout).is_healthy


def test_one_of_several_landers_that_cannot_write_makes_the_service_unhealthy(
    layout: Layout,
) -> None:
    assert as_child(layout).is_healthy
    found = as_child(layout, error=ERROR, failing_since="2026-11-22T02:35:02.418000Z")
    assert found.health == f"not writing since 2026-11-22T02:35:02Z: {ERROR}"


def test_a_lander_that_has_just_started_and_told_nothing_is_healthy(layout: Layout) -> None:
    assert status._service(service("lander", layout), RUNNING, layout).is_healthy


def test_the_reason_is_shown_whole_and_the_command_exits_1(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lander = told(layout, error=ERROR, failing_since="2026-11-22T02:35:02Z")
    found = StackStatus((lander,), overview.look(layout.run, SystemClock(), dict))
    monkeypatch.setattr(command, "look", lambda _, asked: found)
    monkeypatch.setattr("sys.argv", ["infra.local", "status"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert f"lander: not writing since 2026-11-22T02:35:02Z: {ERROR}\n" in capsys.readouterr().out
