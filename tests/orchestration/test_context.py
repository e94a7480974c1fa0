"""Which sessions a run asks for: its form's, its interval's, the last due one's."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException

from orchestration import context


def asked(params: dict[str, Any], **given: object) -> str:
    ti = SimpleNamespace(dag_id="stock_market_batch_pipeline", run_id="r", try_number=1)
    form = {"provider": "configured", "symbols": [], "start": None, "end": None} | params
    words = context.fetch({"ti": ti, "params": form, **given})
    return " ".join(words[: words.index("--run-id")])


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Variable, "get", staticmethod(lambda _name, default: default))


def test_a_scheduled_run_asks_for_the_sessions_before_its_own_too() -> None:
    """One whose run failed is fetched by the next one's."""
    opened = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)

    found = asked({}, data_interval_start=opened)

    assert found == "ingestion produce bars --start 2026-10-15 --end 2026-11-25"


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        (datetime(2026, 11, 25, 21, 29, tzinfo=UTC), "2026-11-24"),
        (datetime(2026, 11, 25, 21, 31, tzinfo=UTC), "2026-11-25"),
        (datetime(2026, 11, 27, 15, 0, tzinfo=UTC), "2026-11-25"),  # a half day, still open
        (datetime(2026, 11, 27, 18, 31, tzinfo=UTC), "2026-11-27"),
    ],
)
def test_a_run_of_the_api_asks_up_to_the_last_session_that_is_due(
    moment: datetime, last: str
) -> None:
    found = asked({}, dag_run=SimpleNamespace(run_after=moment))

    assert found.endswith(f"--end {last}")


def test_a_run_of_the_api_asks_for_sessions_of_the_exchange_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TAPEHOUSE_CALENDAR", "XLON")
    # Thanksgiving: New York is closed, London closed at 16:30.
    moment = datetime(2026, 11, 26, 17, 1, tzinfo=UTC)

    found = asked({}, dag_run=SimpleNamespace(run_after=moment))

    assert found.endswith("--end 2026-11-26")


def test_the_form_decides_and_what_was_recorded_has_no_session_of_a_run() -> None:
    run = SimpleNamespace(run_after=datetime(2026, 11, 25, 22, tzinfo=UTC))

    ranged = asked({"start": "2013-02-25", "end": "2013-03-01"}, dag_run=run)
    recorded = asked({"provider": "recorded"}, dag_run=run)

    assert ranged == "ingestion produce bars --start 2013-02-25 --end 2013-03-01"
    assert recorded == "ingestion produce recorded"


class Run:
    """A run whose tasks have reported this."""

    dag_id, run_id, try_number = "d", "r", 1

    def __init__(self, **reports: dict[str, int]) -> None:
        self.reports = reports

    def xcom_pull(self, *, task_ids: str, key: str) -> dict[str, int] | None:
        assert key == "report"
        return self.reports.get(task_ids)


def test_the_gates_ask_for_all_that_the_run_has_landed() -> None:
    run = {"ti": Run(consume={"stock-quotes/aa/0": 12})}

    lake, all_ = context.check_lake(run), context.reconcile(run)

    assert [*lake[-3:], *all_[-3:]] == ["--allow-behind", "--until", "stock-quotes/aa/0=12"] * 2
    assert lake[:-3] == ["audit", "--stage", "bronze", "--stage", "lake"]
    assert all_[:-3] == ["audit"]


def test_the_streaming_gate_asks_for_all_that_had_arrived() -> None:
    run = {"ti": Run(arrived={"stock-market-realtime/bb/1": 7})}

    found = " ".join(context.check_arrived(run))

    assert found == (
        "audit --stage bronze --stage lake --allow-behind --until stock-market-realtime/bb/1=7"
    )


@pytest.mark.parametrize(
    ("gate", "sensor"),
    [
        (context.check_lake, "consume"),
        (context.reconcile, "consume"),
        (context.check_arrived, "arrived"),
    ],
)
def test_without_knowing_what_was_landed_no_gate_is_open(
    gate: Callable[[Any], list[str]], sensor: str
) -> None:
    with pytest.raises(AirflowFailException, match=f"`{sensor}`"):
        gate({"ti": Run(other={"stock-quotes/aa/0": 1})})
