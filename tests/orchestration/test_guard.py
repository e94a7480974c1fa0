"""A command that another DAG's run keeps from running."""

from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from orchestration.guard import GuardedCommandOperator
from orchestration.operators import CommandOperator


def context(running: int) -> Any:
    def count(*, dag_id: str, states: list[str]) -> int:
        assert (dag_id, states) == ("stock_market_batch_pipeline", ["running"])
        return running

    return cast("Any", {"ti": SimpleNamespace(get_dr_count=count)})


def operator(otherwise: Literal["skip", "wait"]) -> GuardedCommandOperator:
    return GuardedCommandOperator(
        task_id="load",
        command=["ingestion", "load"],
        unless_running=["stock_market_batch_pipeline"],
        otherwise=otherwise,
    )


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that ran."""
    found: list[str] = []
    monkeypatch.setattr(CommandOperator, "execute", lambda self, _: found.append(self.task_id))
    return found


@pytest.mark.parametrize(
    ("otherwise", "error"),
    [("skip", AirflowSkipException), ("wait", AirflowRescheduleException)],
)
def test_a_run_under_way_keeps_it_from_running(
    ran: list[str], otherwise: Literal["skip", "wait"], error: type[Exception]
) -> None:
    with pytest.raises(error):
        operator(otherwise).execute(context(1))
    assert ran == []


@pytest.mark.parametrize("otherwise", ["skip", "wait"])
def test_alone_it_runs(ran: list[str], otherwise: Literal["skip", "wait"]) -> None:
    operator(otherwise).execute(context(0))
    assert ran == ["load"]
