"""A task instance for operators that are executed without Airflow, and what is asked of it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

BEGAN = datetime(2026, 11, 25, 22, tzinfo=UTC)


class Ti:
    """``states`` and ``reports`` are those of the run's tasks."""

    dag_id, run_id = "batch", "run-1"

    def __init__(
        self,
        states: Mapping[str, str] | None = None,
        reports: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.pushed: dict[str, Any] = {}
        self.states, self.reports = states or {}, reports or {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Mapping[str, Any] | None:
        assert key == "report"
        return self.reports.get(task_ids)

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, Mapping[str, str]]:
        assert (dag_id, run_ids) == (self.dag_id, [self.run_id])
        return {self.run_id: self.states}


def context(ti: Ti) -> Any:
    run = SimpleNamespace(dag_id=ti.dag_id, run_id=ti.run_id, start_date=BEGAN)
    return cast("Any", {"ti": ti, "dag_run": run})
