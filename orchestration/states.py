"""What became of a run's tasks, as Airflow knows it, and of the work in them, as they reported."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Context

from orchestration.operators import REPORT

DBT = "dbt."


def of_run(context: Context) -> dict[str, str | None]:
    """Return the state of each of the run's tasks by its id; None for one that has not begun."""
    ti = context["ti"]
    found: Mapping[str, Mapping[str, str | None]] = ti.get_task_states(
        dag_id=ti.dag_id, run_ids=[ti.run_id]
    )
    return dict(found.get(ti.run_id, {}))


def failed(states: Mapping[str, str | None]) -> list[str]:
    """Return the tasks that failed, without those that never began because of them."""
    return sorted(name for name, state in states.items() if state == "failed")


def report(context: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    """Return what a task's command reported in this run; nothing where it did not come so far."""
    found = context["ti"].xcom_pull(task_ids=task_id, key=REPORT)
    return dict(found) if isinstance(found, Mapping) else {}
