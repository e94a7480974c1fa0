"""What a running lander tells about itself: one JSON file, replaced every second.

A lander that was killed leaves its last file behind: the records that it held are in it.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from ingestion.clock import Clock, rfc3339
from ingestion.land.chain import Chain
from ingestion.land.core import Core
from ingestion.land.protocol import Partition

PERIOD_S: Final = 1.0
_KEPT_AFTER_DEATH_S: Final = 600.0


class StatusFile:
    """Writes a lander's state; everything in it is a number, a name or null."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._started_at = rfc3339(clock.now())
        self._written = clock.monotonic()
        self._received: Counter[Partition] = Counter()
        self._before: Counter[Partition] = Counter()
        self.alarms: Counter[str] = Counter()
        self.objects = 0
        self.records = 0
        path.parent.mkdir(parents=True, exist_ok=True)

    def received(self, partition: Partition, count: int) -> None:
        """Count records that came from Kafka."""
        self._received[partition] += count

    def is_due(self) -> bool:
        """Tell whether the last write is `PERIOD_S` ago."""
        return self._clock.monotonic() - self._written >= PERIOD_S

    def write(self, core: Core, ends: Mapping[Partition, int | None], state: str) -> None:
        """Replace the file in one step.

        Raises:
            OSError: it cannot be written; the next attempt is due in `PERIOD_S`.
        """
        now = self._clock.monotonic()
        seconds = max(now - self._written, 1e-3)
        rows = [self._row(c, now, seconds, ends.get(p)) for p, c in sorted(core.chains.items())]
        self._written, self._before = now, self._received.copy()
        self._replace(self._document(rows, core, state))

    def remove(self) -> None:
        """Remove the file: the lander ended and holds nothing."""
        self._path.unlink(missing_ok=True)

    def _document(self, rows: list[dict[str, Any]], core: Core, state: str) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "state": state,
            "started_at": self._started_at,
            "updated_at": rfc3339(self._clock.now()),
            "buffered_records": sum(row["buffered_records"] for row in rows),
            "buffered_bytes": sum(row["buffered_bytes"] for row in rows),
            "landed_records": self.records,
            "landed_objects": self.objects,
            "received_per_s": round(sum(row["received_per_s"] for row in rows), 1),
            "paused": core.paused,
            "alarms": dict(self.alarms),
            **_first_failure(rows),
            "partitions": rows,
        }

    def _row(self, chain: Chain, now: float, seconds: float, end: int | None) -> dict[str, Any]:
        since, failure = chain.since(), chain.failure(now)
        received = self._received[chain.partition] - self._before[chain.partition]
        return {
            "topic": chain.partition.topic,
            "partition": chain.partition.number,
            "generation": chain.generation,
            "phase": chain.phase.value,
            "landed": chain.landed,
            "position": chain.position,
            "log_end": end,
            "buffered_records": chain.records(),
            "buffered_bytes": chain.size(),
            "oldest_buffered_s": None if since is None else round(now - since, 3),
            "received_per_s": round(received / seconds, 1),
            "error": failure.error if failure else None,
            "failing_since": self._moment(now - failure.since) if failure else None,
        }

    def _moment(self, age_s: float) -> str:
        return rfc3339(self._clock.now() - timedelta(seconds=age_s))

    def _replace(self, document: dict[str, Any]) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        temporary.replace(self._path)


def _first_failure(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what has kept a partition from being landed for longest, and its name."""
    failing = [row for row in rows if row["failing_since"] is not None]
    if not failing:
        return {"error": None, "failing_since": None}
    first = min(failing, key=lambda row: row["failing_since"])
    text = f"{first['topic']}/{first['partition']}: {first['error']}"
    return {"error": text, "failing_since": first["failing_since"]}


def path(run: Path, name: str) -> Path:
    """Return the status file of the lander called ``name`` in the folder ``run``."""
    return run / f"lander-{name}.json"


def sweep(run: Path, clock: Clock) -> None:
    """Remove the files of landers that died a while ago."""
    for one in run.glob("lander-*.json"):
        is_old = clock.now().timestamp() - one.stat().st_mtime > _KEPT_AFTER_DEATH_S
        if is_old and not psutil.pid_exists(json.loads(one.read_text())["pid"]):
            one.unlink()
