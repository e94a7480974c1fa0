"""Tell what is wrong, a failed task, a late run, a silent feed: in the log, and to a webhook."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError

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
        _tell_in_passing(_of_task("source_stale", context, reason))


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
    _tell_in_passing(_of_task("nothing_arrived", context, reason))


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
    """Tell that a run has missed its deadline; Airflow calls it in the triggerer.

    It does so for a run that failed in time, too, which has been told of by then.
    """
    run = (context or {}).get("dag_run") or {}
    if run.get("state") == "failed":
        return
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


def _tell_in_passing(alert: Alert) -> None:
    """Tell from inside a task, which has its own work: it does not fail where the webhook does."""
    webhook = _webhook()
    try:
        _tell(alert, webhook)
    except OSError as error:
        log = structlog.get_logger("tapehouse.alerts")
        log.error("webhook_failed", alert=alert["event"], reason=str(error))


def post(webhook: str, alert: Alert) -> None:
    """Send an alert; what goes wrong is told without the address, which is a credential.

    Raises:
        OSError: the other side does not answer, or refuses, or cannot be a webhook.
    """
    body = json.dumps(alert).encode()
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(webhook, body, headers)  # noqa: S310 - an operator's own setting
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - as above
            return
    except HTTPError as error:
        error.close()
        raise OSError(f"expected a webhook to take an alert, found HTTP {error.code}") from None
    except (HTTPException, ValueError) as error:
        raise OSError(f"expected a webhook, found {type(error).__name__}") from None


def _webhook() -> str | None:
    """Return the webhook's address; None where nobody has set one."""
    try:
        return BaseHook.get_connection(CONNECTION).password
    except AirflowNotFoundException:
        return None
