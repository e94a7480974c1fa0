"""Whether the landers of this machine write, from what they tell about themselves."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil

from ingestion.clock import Clock
from ingestion.land import status
from ingestion.land.status import Document

# A lander tells once a second; a rebalance with a slow store may take its whole revoke deadline.
SILENT_S: Final = 20.0


@dataclass(frozen=True)
class Health:
    """One lander's process, and why it does not write; None while it does."""

    pid: int
    problem: str | None
    told: Document = field(repr=False, compare=False)
    is_silent: bool = False

    @property
    def idle_since(self) -> str | None:
        """Since when the group gives it no partition, RFC 3339; None while it has one."""
        found: str | None = self.told.get("idle_since")  # a lander of an older version lacks it
        return found


def of_processes(run: Path, pids: Collection[int], clock: Clock) -> list[Health]:
    """Return what the landers among these processes say; one that has said nothing yet lacks."""
    return [one for one in of_landers(run, clock) if one.pid in pids]


def of_landers(run: Path, clock: Clock) -> list[Health]:
    """Return every lander with a live process that has a status file in ``run``."""
    return [_health(document, clock) for document in status.documents(run) if _lives(document)]


def of_dead(run: Path) -> list[Document]:
    """Return what landers told last that died lately: killed, or ended by an error."""
    found = status.documents(run)
    return [document for document in found if _runs(document) and not _lives(document)]


def _lives(document: Document) -> bool:
    return _runs(document) and psutil.pid_exists(document["pid"])


def _runs(document: Document) -> bool:
    return bool(document["state"] == "running")


def _health(document: Document, clock: Clock) -> Health:
    told = datetime.fromisoformat(document["updated_at"])
    if (clock.now() - told).total_seconds() > SILENT_S:
        silent = f"silent since {second(document['updated_at'])}"
        return Health(document["pid"], silent, document, is_silent=True)
    since = document.get("failing_since")
    problem = f"not writing since {second(since)}: {document['error']}" if since else None
    return Health(document["pid"], problem, document)


def second(moment: str) -> str:
    """Return an RFC 3339 moment without its fraction."""
    return f"{moment[:19]}Z"
