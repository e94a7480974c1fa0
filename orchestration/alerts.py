"""Tell what is wrong, a failed task, a late run, a silent feed: in the log, and to a webhook."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

import structlog
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

CONNECTION: Final = "tapehouse_alerts"
_TIMEOUT_S: Final = 10.0
_REASON_CHARS: Final = 1_000

Alert = dict[str, Any]


def failed(context: Mapping[str, Any]) -> None:
    """Tell that a task has failed: run, task, reason, link to its log."""
    reason = " ".join(str(context.get("exception") or "unknown").split())
    _tell(_of_task("task_failed", context, reason[:_REASON_CHARS]), _webhook())


def stale(context: Mapping[str, Any]) -> None:
    """Tell that nothing new has come into a source for too long; Cosmos calls it in any case."""
    if names := context["test_names"]:
        reason = f"nothing new in {', '.join(names)} for longer than its freshness allows"
        _tell(_of_task("source_stale", context, reason), _webhook())


def warned(context: Mapping[str, Any]) -> None:
    """Tell that tests have warned in a build that was published: a feed that is late is one."""
    ti = context["ti"]
    report = ti.xcom_pull(task_ids=ti.task_id, key="report") or {}
    if count := report.get("tests_warned"):
        build = report.get("build_id")
        reason = f"{count} tests warned in build {build}: ops.test_results names them"
        _tell(_of_task("tests_warned", context, reason), _webhook())


def silent(context: Mapping[str, Any], reason: str) -> None:
    """Tell that nothing has arrived where something should."""
    _tell(_of_task("nothing_arrived", context, reason), _webhook())


def cut_off(context: Mapping[str, Any]) -> None:
    """Tell that a run took longer than it may; each task that failed tells of itself."""
    if context.get("reason") == "timed_out":
        run = context.get("dag_run")
        alert = {
            "event": "run_timed_out",
            "dag": context["dag"].dag_id,
            "run": run.run_id if run else context.get("run_id"),
            "reason": "cut off after the time that a run may take: what was unfinished is skipped",
        }
        _tell(alert, _webhook())


def _of_task(event: str, context: Mapping[str, Any], reason: str) -> Alert:
    ti = context["ti"]
    return {
        "event": event,
        "dag": ti.dag_id,
        "run": ti.run_id,
        "task": ti.task_id,
        "reason": reason,
        "link": ti.log_url,
    }


async def late(minutes: float, context: Mapping[str, Any] | None = None) -> None:
    """Tell that a run has missed its deadline; Airflow calls it in the triggerer."""
    run = (context or {}).get("dag_run") or {}
    alert = {
        "event": "deadline_missed",
        "dag": run.get("dag_id"),
        "run": run.get("dag_run_id") or run.get("run_id"),
        "reason": f"not done {minutes:.0f} minutes after it was queued",
    }
    try:
        webhook = (await BaseHook.aget_connection(CONNECTION)).password
    except AirflowNotFoundException:
        webhook = None
    await asyncio.to_thread(_tell, alert, webhook)


def _tell(alert: Alert, webhook: str | None) -> None:
    event = alert["event"]
    rest = {name: value for name, value in alert.items() if name != "event"}
    structlog.get_logger("tapehouse.alerts").error(event, **rest)
    if webhook is not None:
        post(webhook, alert)


def post(webhook: str, alert: Alert) -> None:
    """Send an alert.

    Raises:
        OSError: the other side does not answer, or refuses.
    """
    body = json.dumps(alert).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(webhook, body, headers)  # noqa: S310 - an operator's own setting
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - as above
        return


def _webhook() -> str | None:
    """Return the webhook's address; None where nobody has set one."""
    try:
        return BaseHook.get_connection(CONNECTION).password
    except AirflowNotFoundException:
        return None
