"""The words of commands that depend on a run: its sessions, its parameters, its id. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final

from ingestion.calendar import Calendar

LAKE_JOBS: Final = ("compact", "bars", "daily-metrics", "window-metrics", "anomalies")
# Those of trades and quotes.
INTRADAY_JOBS: Final = ("compact", "bars", "window-metrics", "anomalies")
# What a run of the producer may be called, and a build.
_MAX_NAME: Final = 60
# Sessions that a run asks for beside its own: whoever fetches asks the provider for the last five
# of them and those that it does not know. So a session whose run failed, or that had none, is
# fetched by the next one, and corrections come. A free key of Alpha Vantage goes back a hundred.
_LOOK_BACK: Final = 30


def fetch(
    provider: str, bounds: tuple[date | None, date | None], symbols: Iterable[str], run: str
) -> list[str]:
    """Return the command that asks a provider for the daily bars of some sessions."""
    return [
        *("ingestion", "produce", provider),
        *_bounds(bounds),
        *(word for symbol in symbols for word in ("--symbol", symbol)),
        *("--run-id", run),
    ]


def recompute(bounds: tuple[date | None, date | None]) -> list[str]:
    """Return the command that computes the metrics of some sessions anew."""
    return ["spark_jobs", "run", *LAKE_JOBS[1:], *_bounds(bounds)]


def audit(stages: Iterable[str], ends: Mapping[str, int]) -> list[str]:
    """Return the command that judges stages, all without any, after a run has gone through them.

    ``ends`` are where bronze ended when it began to, by topic/generation/partition: what lies
    before them is there, only what came later may be on its way.
    """
    sent = [f"{place}={end}" for place, end in sorted(ends.items()) if end]
    return [
        "audit",
        *(word for stage in stages for word in ("--stage", stage)),
        "--allow-behind",
        *(word for one in sent for word in ("--until", one)),
    ]


def bounds(
    params: Mapping[str, Any], interval_start: datetime | None, calendar: Calendar
) -> tuple[date | None, date | None]:
    """Return the first and last session that a run asks for.

    They are its parameters', else those up to the session of its interval; all where it has none.
    """
    start, end = (_day(params.get(name)) for name in ("start", "end"))
    if start or end or interval_start is None:
        return start, end
    opened = [one for one in calendar.sessions() if one.open_at <= interval_start]
    sessions = opened[-_LOOK_BACK:]
    return sessions[0].session_date, sessions[-1].session_date


def run_name(dag_id: str, run_id: str, try_number: int) -> str:
    """Return what a producer's run is called: told in every message, so each try has its own."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", f"{dag_id}-{run_id}").strip("-")
    if len(name) > _MAX_NAME - 4:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: _MAX_NAME - 13]}-{digest}"
    return f"{name}-{try_number}"


def _bounds(bounds: tuple[date | None, date | None]) -> list[str]:
    names = ("--start", "--end")
    return [w for name, day in zip(names, bounds, strict=True) if day for w in (name, str(day))]


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
