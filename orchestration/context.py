"""From a run's context to the words of its commands."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

import pendulum
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException

from ingestion import calendar
from ingestion.settings import ProjectSettings
from orchestration import states, words
from orchestration.timetables import IntradayTimetable, SessionTimetable

# What providers still correct then comes with the runs after it.
_DELAY: Final = timedelta(minutes=30)
PROVIDER: Final = "tapehouse_provider"
_RECORDED: Final = "recorded"


def after_sessions() -> SessionTimetable:
    """Return the schedule of what follows each session of the project's exchange."""
    return SessionTimetable(ProjectSettings.load().calendar, _DELAY)


def in_sessions(every: timedelta) -> IntradayTimetable:
    """Return the schedule of what comes again and again while that exchange is open."""
    return IntradayTimetable(ProjectSettings.load().calendar, every=every)


def fetch(context: Mapping[str, Any]) -> list[str]:
    """Return the command that fetches what the run is about."""
    ti, provider = context["ti"], _provider(context["params"])
    run = words.run_name(ti.dag_id, ti.run_id, ti.try_number)
    command = words.fetch(
        provider, _bounds(context, provider), context["params"]["symbols"] or (), run
    )
    return [*command, "--ledger", str(ProjectSettings.load().state("ledger"))]


def recompute(context: Mapping[str, Any]) -> list[str]:
    """Return the command that computes the metrics of the run's sessions anew."""
    return words.recompute(_bounds(context, ""))


def check_lake(context: Mapping[str, Any]) -> list[str]:
    """Return the command that looks for all that the run has landed, as far as the lake."""
    return words.audit(("bronze", "lake"), _landed(context, "consume"))


def check_arrived(context: Mapping[str, Any]) -> list[str]:
    """Return the command that looks for all that had arrived for the run, as far as the lake."""
    return words.audit(("bronze", "lake"), _landed(context, "arrived"))


def reconcile(context: Mapping[str, Any]) -> list[str]:
    """Return the command that looks for all that the run has landed, in every stage."""
    return words.audit((), _landed(context, "consume"))


def _landed(context: Mapping[str, Any], sensor: str) -> Mapping[str, int]:
    """Return where bronze ended when a sensor of the run had seen enough."""
    found = states.report(context, sensor)
    if not found:
        raise AirflowFailException(
            f"expected the report of `{sensor}`, found none: clear that task"
        )
    return found


def _provider(params: Mapping[str, Any]) -> str:
    if params["provider"] != "configured":
        return str(params["provider"])
    return str(Variable.get(PROVIDER, default="bars"))


def _bounds(context: Mapping[str, Any], provider: str) -> tuple[date | None, date | None]:
    # What was recorded ends in 2013: no run's own session is in it.
    start = None if provider == _RECORDED else _interval_start(context)
    exchange = calendar.get(ProjectSettings.load().calendar)
    return words.bounds(context["params"], start, exchange)


def _interval_start(context: Mapping[str, Any]) -> datetime:
    """Return when the run's session began: that of the last due one where nobody has said which.

    A run that is started through the API has no logical date, and no interval.
    """
    found: datetime | None = context.get("data_interval_start")
    if found is not None:
        return found
    run_after = pendulum.instance(context["dag_run"].run_after)
    return after_sessions().infer_manual_data_interval(run_after=run_after).start
