"""From a run's context to the words of its commands."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from airflow.sdk import Variable

from ingestion import calendar
from ingestion.settings import ProjectSettings
from orchestration import words

PROVIDER: Final = "tapehouse_provider"
_RECORDED: Final = "recorded"


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


def _provider(params: Mapping[str, Any]) -> str:
    if params["provider"] != "configured":
        return str(params["provider"])
    return str(Variable.get(PROVIDER, default="bars"))


def _bounds(context: Mapping[str, Any], provider: str) -> tuple[date | None, date | None]:
    # What was recorded ends in 2013: no run's own session is in it.
    start = None if provider == _RECORDED else context.get("data_interval_start")
    exchange = calendar.get(ProjectSettings.load().calendar)
    return words.bounds(context["params"], start, exchange)
