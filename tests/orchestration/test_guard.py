"""A command that another DAG's run keeps from running."""

from types import SimpleNamespace
from typing import Any, Literal, cast

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from orchestration.guard import GuardedCommandOperator
from orchestration.operators import CommandOperator


def context(running: int, *, is_paused: bool = False) -> Any:
    def count(*, dag_id: str, states: list[str]) -> int:
        assert (dag_id, states) == ("stock_market_batch_pipeline", ["running"])
        return running

    def dag(dag_id: str) -> object:
        assert dag_id == "stock_market_batch_pipeline"
        return SimpleNamespace(is_paused=is_paused)

    return cast("Any", {"ti": SimpleNamespace(get_dr_count=count, get_dag=dag)})


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
def test_a_run_that_is_paused_has_no_end_to_wait_for(
    ran: list[str], otherwise: Literal["skip", "wait"]
) -> None:
    with pytest.raises(AirflowFailException, match="stock_market_batch_pipeline is paused"):
        operator(otherwise).execute(context(1, is_paused=True))
    assert ran == []


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize("otherwise", ["skip", "wait"])
def test_alone_it_runs(ran: list[str], otherwise: Literal["skip", "wait"], is_paused: bool) -> None:
    operator(otherwise).execute(context(0, is_paused=is_paused))
    assert ran == ["load"]
