"""Whether the landers of this machine write, from what they tell about themselves."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psutil

from ingestion.clock import Clock

# A lander tells once a second; a rebalance with a slow store may take its whole revoke deadline.
SILENT_S: Final = 20.0


@dataclass(frozen=True)
class Health:
    """One lander's process, and why it does not write; None while it does."""

    pid: int
    problem: str | None


def of_process(run: Path, pid: int, clock: Clock) -> Health | None:
    """Return what the lander of this process says; None where it has said nothing yet."""
    return next((one for one in of_landers(run, clock) if one.pid == pid), None)


def of_landers(run: Path, clock: Clock) -> list[Health]:
    """Return every lander with a live process that has a status file in ``run``."""
    return [
        Health(document["pid"], _problem(document, clock))
        for document in map(_read, sorted(run.glob("lander-*.json")))
        if document and document["state"] == "running" and psutil.pid_exists(document["pid"])
    ]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:  # a lander that ends removes its file
        return None
    return found


def _problem(document: dict[str, Any], clock: Clock) -> str | None:
    told = datetime.fromisoformat(document["updated_at"])
    if (clock.now() - told).total_seconds() > SILENT_S:
        return f"silent since {_second(document['updated_at'])}"
    since = document.get("failing_since")
    return f"not writing since {_second(since)}: {document['error']}" if since else None


def _second(moment: str) -> str:
    """Return an RFC 3339 moment without its fraction."""
    return f"{moment[:19]}Z"
