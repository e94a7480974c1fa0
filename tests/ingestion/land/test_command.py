"""The status command, with Kafka and the clock replaced."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ingestion import cli
from ingestion.land import command
from ingestion.land.backlog import Offsets
from ingestion.land.protocol import Partition
from tests.ingestion.land.test_status import FakeClock
from tests.ingestion.land.world import P0


class Impatient(FakeClock):
    """Somebody presses Ctrl+C during the third wait."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.moved >= 3 * seconds:
            raise KeyboardInterrupt


class Asked:
    """A Kafka in which one partition is 3 offsets ahead of what is landed, then no more."""

    def __init__(self, *_: object) -> None:
        self.lags = [3, 0, 0]
        self.is_closed = False

    def ask(self, _: Any) -> Mapping[Partition, Offsets]:
        return {P0: Offsets(3, 3 - self.lags.pop(0))}

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()
    monkeypatch.setattr(command, "Backlog", lambda _: asked)
    monkeypatch.setattr(command, "SystemClock", Impatient)
    return asked


def status(*arguments: str) -> Result:
    return CliRunner().invoke(cli._application("status"), list(arguments))


def test_a_problem_is_exit_1(kafka: Asked) -> None:
    done = status()
    assert done.exit_code == 1
    assert "no lander runs here, and 3 offsets are not in bronze" in done.stdout
    assert kafka.is_closed


def test_it_looks_again_until_ctrl_c_and_exits_as_it_stood_last(kafka: Asked) -> None:
    done = status("--watch", "5", "--json")
    assert done.exit_code == 0, done.output
    assert [json.loads(x)["totals"]["lag"] for x in done.stdout.splitlines()] == [3, 0, 0]
    assert kafka.is_closed
