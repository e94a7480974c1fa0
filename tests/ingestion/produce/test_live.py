"""What a provider had under way when the run was stopped."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import Message
from ingestion.limits.guards import Guards
from ingestion.produce.execute import Delivery
from ingestion.produce.live import send
from ingestion.produce.providers import Providers, Run
from ingestion.sources.source import Refused
from tests.ingestion.produce.conftest import MockKafka

ANSWERS_AFTER_S = 1.0


class Slow:
    """Gives one thing before the stop; a request that is under way then is answered after it."""

    name = "slow"

    def __init__(self, run: Run) -> None:
        self._run = run

    def messages(self) -> Iterator[Message | Refused | None]:
        yield Refused(b"before", "stock-quotes", "contract", "")
        self._run.stop.requested = True
        time.sleep(ANSWERS_AFTER_S)
        yield Refused(b"under way", "stock-quotes", "contract", "")

    def facts(self) -> Mapping[str, object]:
        return {}


@pytest.mark.parametrize("ticks", [True, False])
def test_the_answer_to_a_request_that_a_stop_met_is_sent(
    kafka: MockKafka,
    mock_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ticks: bool,
) -> None:
    """It was received, it counts in the provider's budget, and it cannot be had again."""
    for name, value in mock_environment.items():
        monkeypatch.setenv(name, value)
    run = Run("run", SystemClock(), calendar.get())
    providers = Providers(run, cast("Guards", cast("Any", None)), ExitStack())
    delivery = Delivery(None, None, 20.0, None, tmp_path)

    send(Slow(run), providers, delivery, ticks=ticks)

    assert {letter.value() for letter in kafka.all("stock-market-dlq")} == {b"before", b"under way"}
