"""What every test may use. Tests of the real stack have ports and state of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from infra.local import processes, scratch
from infra.local.layout import Layout
from infra.local.services import ServiceName
from infra.local.stack import Stack
from ingestion.settings import ROOT

if TYPE_CHECKING:
    from tests.emulator.process import Emulator

# Set on every process that the tests start: the pid of the test run that it belongs to.
OWNER = "TAPEHOUSE_TEST_RUN"

_SETTINGS = (
    "KAFKA_", "STORE_", "TAPEHOUSE_", "PRODUCE_", "LIMITS_", "LAND_", "LAKE_", "WAREHOUSE_",
    "YAHOO_", "FINNHUB_", "ALPHAVANTAGE_", "SNOWFLAKE_", "SERVING_", "PROMETHEUS_",
)  # fmt: skip

# Fixtures that take long to make: what uses one runs in one worker.
SHARED_FIXTURES = ("root_session", "stack", "landing_stack", "world", "both_engines", "two_batches")
# What takes longest comes first: else one worker ends long after the others.
LONGEST = ("root_session", "test_batch", "test_end_to_end", "two_batches", "world", "landing_stack")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests for parallel workers: by the expensive fixture they share, else by file."""
    groups = {item.nodeid: _group(item) for item in items}
    items.sort(key=lambda item: _rank(groups[item.nodeid]))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(groups[item.nodeid]))


def _group(item: pytest.Item) -> str:
    used = getattr(item, "fixturenames", ())
    module = getattr(item, "module", None)  # what it makes itself is no other file's
    shared = (name for name in SHARED_FIXTURES if name in used and not hasattr(module, name))
    return next(shared, item.path.stem)


def _rank(group: str) -> int:
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


@dataclass(frozen=True)
class RunningStack:
    """A stack on ports and state of its own, and the way to run our commands against it."""

    stack: Stack
    env_file: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def layout(self) -> Layout:
        return self.stack.layout

    @property
    def state_dir(self) -> Path:
        return self.stack.layout.state

    def run(self, *arguments: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run ``python -m <arguments>`` with this stack's settings; look at the exit code."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@dataclass
class StackFactory:
    """Makes stacks below one folder and stops what was made."""

    folder: Path
    made: list[Stack] = field(default_factory=list)

    def prepare(self, name: str, **extra: str) -> tuple[Path, dict[str, str]]:
        """Write a settings file with ports, state folder and credentials of its own."""
        home = self.folder / name
        return home / "env", scratch.prepare(home, extra)

    def make(self, name: str, services: tuple[ServiceName, ...], **extra: str) -> RunningStack:
        """Start a stack; ``extra`` are settings by their variable names."""
        env_file, environment = self.prepare(name, **extra)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            stack = Stack(Layout.load())
            self.made.append(stack)
            stack.up(services)
        return RunningStack(stack, env_file, environment)

    def stop(self) -> None:
        for stack in self.made:
            stack.down()
            assert not processes.of_stack(stack.layout.state), "down() left processes behind"


def in_force(running: RunningStack, patch: pytest.MonkeyPatch) -> RunningStack:
    """Make this process and its children use the stack's settings until the patch is undone."""
    for variable, value in running.environment.items():
        patch.setenv(variable, value)
    return running


@pytest.fixture(scope="session")
def tools() -> None:
    """Fail with advice, not with a puzzle, where set-up has not run."""
    missing = [n for n in ("kafka-jars", "spark-jars") if not (ROOT / ".tools" / n).is_dir()]
    if missing:
        pytest.fail(f".tools lacks {', '.join(missing)}: run `make setup`", pytrace=False)


@pytest.fixture(scope="session")
def stack_factory(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackFactory]:
    end_abandoned()
    factory = StackFactory(tmp_path_factory.mktemp("stacks"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OWNER, str(os.getpid()))
        yield factory
    factory.stop()


def end_abandoned() -> None:
    """End stacks of test runs that were killed before they could."""
    processes.end([process for process in psutil.process_iter() if is_abandoned(process)])


def is_abandoned(process: psutil.Process) -> bool:
    try:
        owner = process.environ().get(OWNER)
    except (psutil.Error, OSError):
        return False  # gone, or not ours
    return owner is not None and not psutil.pid_exists(int(owner))


@pytest.fixture(scope="session")
def stack(stack_factory: StackFactory) -> Iterator[RunningStack]:
    """Kafka and the store with everything declared in ``infra/``, without a supervised lander.

    Its settings are in force in this process and its children for the rest of the session.
    """
    running = stack_factory.make("shared", ("kafka", "store"))
    with pytest.MonkeyPatch.context() as patch:
        yield in_force(running, patch)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Emulator"]:
    """An emulated Snowflake for all tests of a worker that work in a database of their own."""
    from tests.emulator import process  # its connector takes a second to import

    with process.running(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(autouse=True, scope="session")
def _no_settings_of_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the checkout's own stack: without ``stack`` there are no settings."""
    empty = tmp_path_factory.mktemp("settings") / "env"
    state = tmp_path_factory.mktemp("state")
    empty.write_text(f"TAPEHOUSE_STATE_DIR={state}\n")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_SETTINGS):
                patch.delenv(name)
        patch.setenv("TAPEHOUSE_ENV_FILE", str(empty))
        yield
