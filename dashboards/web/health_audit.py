"""The auditor's last verdict: what each stage holds, counted from its own storage."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dashboards.web.exchange import clock_of
from dashboards.web.freshness import SCHEDULES
from dashboards.web.health_model import Gap, Level, Reconciliation, Stage
from ingestion.calendar import Calendar

_LEVELS: Final[dict[str, Level]] = {"ok": "ok", "behind": "warn", "violated": "bad"}
_FINE: Final = ("ok", "skipped")
# When all of a session is due, so that the run after it has been audited, too.
_DUE: Final = max(one.due for one in SCHEDULES.values())
_COUNTS: Final = (
    *("kafka", "bronze", "lake", "rejected", "deduplicated", "warehouse", "silver", "quarantined"),
)


def reconciliation(
    path: Path, built_at: datetime | None, now: datetime, calendar: Calendar
) -> Reconciliation:
    """Return the verdict in a file.

    `built_at` is when the published build was finished: a verdict that is older says nothing of it.
    Nor does one say much of now from before the last session, had its records long been due.

    Raises:
        FileNotFoundError: nothing has been audited.
        ValueError, KeyError, TypeError: the file is no verdict.
    """
    document = json.loads(path.read_text())
    gaps = tuple(_gap(check) for check in document["checks"] if check["status"] not in _FINE)
    audited_at = datetime.fromisoformat(document["finished_at"])
    verdict: str = document["verdict"]
    level = _LEVELS.get(verdict, "unknown")
    summary = f"{verdict}: {len(document['checks'])} checks, {_told(gaps)}"
    clock = clock_of(calendar)
    # It may have read gold as soon as it began.
    began_at = datetime.fromisoformat(document["started_at"])
    if level == "ok" and built_at is not None and began_at < built_at:
        level, summary = "warn", f"{summary}; older than the published build: `make audit`"
    elif level == "ok" and clock.ended(audited_at) < (due := clock.ended(now - _DUE)):
        day = clock.day(clock.sessions[due].session_date)
        level, summary = "warn", f"{summary}; older than the session of {day}: `make audit`"
    return Reconciliation(
        level,
        f"{summary}; audited at {audited_at:%Y-%m-%d %H:%M} UTC",
        verdict,
        audited_at,
        len(document["checks"]),
        tuple(_stage(row) for row in document["table"]),
        gaps,
    )


def _told(gaps: tuple[Gap, ...]) -> str:
    if not gaps:
        return "0 gaps"
    violated = [one for one in gaps if one.status == "violated"]
    first = (violated or gaps)[0]
    where = f" of {first.where}" if first.where else ""
    return f"{len(gaps)} not ok, {len(violated)} violated; {first.check}{where}: {first.detail}"


def _stage(row: dict[str, Any]) -> Stage:
    counts = {name: row[name] for name in _COUNTS}
    return Stage(topic=row["topic"], partition=row["partition"], gap=row["gap"], **counts)


def _gap(check: dict[str, Any]) -> Gap:
    where = "" if check["topic"] is None else f"{check['topic']}/{check['partition']}"
    return Gap(
        check["name"],
        check["status"],
        where,
        check["detail"],
        check["differences"],
        tuple(str(one) for one in check["examples"]),
    )
