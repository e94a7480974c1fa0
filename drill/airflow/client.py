"""Airflow's public API, as far as runs are started and looked at."""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import httpx

from ingestion.errors import StackError

_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 1.0
_SAY_EVERY_S: Final = 30.0
_OVER: Final = ("success", "failed")
_AT_WORK: Final = ("running", "queued", "deferred", "up_for_retry", "up_for_reschedule")
_OPEN: Final = (None, "scheduled", *_AT_WORK)


class Task(NamedTuple):
    """What became of a task; seconds from its start to its end, 0 where it has none."""

    task_id: str
    state: str | None
    seconds: float
    tries: int


class Parse(NamedTuple):
    """The last time that a DAG's file was parsed: when, and in how many seconds."""

    at: str
    seconds: float


class Run(NamedTuple):
    """A run that is over: how it ended, in how many seconds from its queueing, and its tasks."""

    dag_id: str
    run_id: str
    state: str
    seconds: float
    tasks: dict[str, Task]

    def states(self) -> dict[str, str | None]:
        """Return each task's state."""
        return {name: task.state for name, task in self.tasks.items()}


class Airflow:
    """One Airflow, logged in."""

    def __init__(self, url: str, user: str, password: str, say: Callable[[str], None]) -> None:
        """Log in; how far the runs are that are waited for is told by ``say``.

        Raises:
            StackError: it refuses, or does not answer.
        """
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)
        self._say = say
        login = {"username": user, "password": password}
        token = self._ask("POST", "/auth/token", login)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def dags(self) -> set[str]:
        """Return the ids of the DAGs that it knows."""
        return {one["dag_id"] for one in self._ask("GET", "/api/v2/dags")["dags"]}

    def parses(self) -> dict[str, Parse]:
        """Return how the DAG processor last parsed each DAG's file, by its own clock."""
        found = self._ask("GET", "/api/v2/dags")["dags"]
        return {
            one["dag_id"]: Parse(one["last_parsed_time"], one["last_parse_duration"])
            for one in found
        }

    def import_errors(self) -> list[str]:
        """Return what is wrong with DAG files."""
        found = self._ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{one['filename']}: {one['stack_trace']}" for one in found]

    def switch(self, dag_id: str, *, on: bool) -> None:
        """Let a DAG run, or keep it from running."""
        self._ask("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": not on})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run as the form in the UI does, and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def clear(self, dag_id: str, run_id: str, tasks: Collection[str]) -> None:
        """Let tasks of a run, and what follows them, run once more, as *Clear* in the UI does."""
        body = {
            "dag_run_id": run_id,
            "task_ids": sorted(tasks),
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
            "dry_run": False,
        }
        self._ask("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)

    def state(self, dag_id: str, run_id: str) -> str:
        """Return a run's state."""
        return str(self._run(dag_id, run_id)["state"])

    def run_ids(self, dag_id: str, run_type: str) -> list[str]:
        """Return the ids of a DAG's runs of a type, such as ``asset_triggered``, oldest first."""
        found = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?run_type={run_type}")
        return [str(one["dag_run_id"]) for one in found["dag_runs"]]

    def wait(self, dag_id: str, run_id: str, timeout_s: float) -> Run:
        """Wait for a run's end.

        Raises:
            TimeoutError: it has not ended in time.
        """
        began = told = time.monotonic()
        while (found := self._run(dag_id, run_id))["state"] not in _OVER:
            now = time.monotonic()
            if now - told >= _SAY_EVERY_S or now - began >= timeout_s:
                told, far = now, self._progress(dag_id, run_id)
                self._say(f"  {dag_id} {now - began:.0f} s: {far}")
                if now - began >= timeout_s:
                    raise TimeoutError(f"{dag_id} {run_id} runs after {timeout_s:.0f} s: {far}")
            time.sleep(_POLL_S)
        seconds = _between(found["queued_at"], found["end_date"])
        return Run(dag_id, run_id, str(found["state"]), seconds, self.tasks(dag_id, run_id))

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Task]:
        """Return a run's tasks by their id."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._ask("GET", f"{path}?limit=500")["task_instances"]
        return {
            one["task_id"]: Task(
                one["task_id"],
                one["state"],
                _between(one["start_date"], one["end_date"]),
                one["try_number"],
            )
            for one in found
        }

    def seconds(self, dag_id: str, run_id: str) -> dict[str, float]:
        """Return the seconds that tasks of a run tell of what they ran, a command or dbt's node."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._ask("GET", f"{path}/~/xcomEntries?xcom_key=seconds&limit=500")
        names = [str(one["task_id"]) for one in found["xcom_entries"]]
        return {
            name: float(self._ask("GET", f"{path}/{name}/xcomEntries/seconds")["value"])
            for name in names
        }

    def _progress(self, dag_id: str, run_id: str) -> str:
        tasks = self.tasks(dag_id, run_id).values()
        ended = sum(one.state not in _OPEN for one in tasks)
        at_work = ", ".join(f"{one.task_id} {one.state}" for one in tasks if one.state in _AT_WORK)
        return f"{ended} of {len(tasks)} tasks done; {at_work or 'none at work'}"

    def _run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise StackError(f"Airflow: {method} {path}: {error}") from error
        if answer.is_error:
            text = " ".join(answer.text.split())[:300]
            raise StackError(f"Airflow: {method} {path}: {answer.status_code} {text}")
        found: dict[str, Any] = answer.json()
        return found


def _between(start: str | None, end: str | None) -> float:
    if start is None or end is None:
        return 0.0
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
