"""What a running lander tells about itself: one document a second, into a file and to its metrics.

A lander that was killed leaves its last file behind: the records that it held are in it.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from ingestion.clock import Clock, rfc3339
from ingestion.land.chain import Chain, Failure, Phase
from ingestion.land.core import Core
from ingestion.land.counts import Counts, Rate
from ingestion.land.protocol import Partition

PERIOD_S: Final = 1.0
_PREFIX: Final = "lander-"
_KEPT_AFTER_DEATH_S: Final = 600.0

Document = Mapping[str, Any]


class StatusFile:
    """Tells a lander's state; everything in it is a number, a name or null."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._started_at = rfc3339(clock.now())
        self._written = clock.monotonic()
        self._oldest: dict[Partition, tuple[int, float]] = {}
        self._idle_since: float | None = self._written
        self.counts = Counts(self._written)
        self.alarms: Counter[str] = Counter()
        self.member: Callable[[], Failure | None] = lambda: None
        """Tells why the group gives the lander nothing; asked where it has no partition."""
        self.told: Document | None = None
        """The last document; it is replaced, never changed, so that any thread may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)

    def is_due(self) -> bool:
        """Tell whether the last document is `PERIOD_S` ago."""
        return self._clock.monotonic() - self._written >= PERIOD_S

    def write(self, core: Core, ends: Mapping[Partition, int | None], state: str) -> None:
        """Make a new document and replace the file in one step.

        Raises:
            OSError: the file cannot be written; the next attempt is due in `PERIOD_S`.
        """
        now = self._clock.monotonic()
        self._written = now
        rates = self.counts.rates(now)
        rows = [
            self._row(chain, now, ends.get(partition), rates.get(partition, Rate()))
            for partition, chain in sorted(core.chains.items())
        ]
        self._oldest = {p: known for p, known in self._oldest.items() if p in core.chains}
        if core.chains:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        self.told = self._document(rows, core, state)
        self._replace(self.told)

    def remove(self) -> None:
        """Remove the file: the lander ended and holds nothing."""
        self._path.unlink(missing_ok=True)

    def _document(self, rows: list[dict[str, Any]], core: Core, state: str) -> Document:
        return {
            "name": self._path.stem.removeprefix(_PREFIX),
            "pid": os.getpid(),
            "state": state,
            "started_at": self._started_at,
            "updated_at": rfc3339(self._clock.now()),
            "buffered_records": sum(row["buffered_records"] for row in rows),
            "buffered_bytes": sum(row["buffered_bytes"] for row in rows),
            "landed_records": self.counts.records,
            "landed_objects": self.counts.objects,
            "received_per_s": round(sum(row["received_per_s"] for row in rows), 1),
            "landed_per_s": round(sum(row["landed_per_s"] for row in rows), 1),
            "paused": core.paused,
            "alarms": dict(self.alarms),
            "idle_since": self._moment_of(self._idle_since),
            **(_first_failure(rows) if rows else self._no_membership()),
            "partitions": rows,
            "counts": [
                {"topic": partition.topic, "partition": partition.number, **asdict(count)}
                for partition, count in sorted(self.counts.by_partition.items())
            ],
        }

    def _row(self, chain: Chain, now: float, end: int | None, rate: Rate) -> dict[str, Any]:
        since, failure = chain.since(), chain.failure(now)
        lag = _lag(chain, end)
        return {
            "topic": chain.partition.topic,
            "partition": chain.partition.number,
            "generation": chain.generation,
            "phase": chain.phase.value,
            "landed": chain.landed,
            "position": chain.position,
            "log_end": end,
            "lag": lag,
            "buffered_records": chain.records(),
            "buffered_bytes": chain.size(),
            "oldest_buffered_s": None if since is None else round(now - since, 3),
            "oldest_unlanded_s": self._oldest_unlanded_s(chain, lag),
            "received_per_s": rate.received,
            "landed_per_s": rate.landed,
            "error": failure.error if failure else None,
            "failing_since": self._moment_of(failure and failure.since),
        }

    def _oldest_unlanded_s(self, chain: Chain, lag: int | None) -> float | None:
        """Return how long Kafka has had the oldest record that storage lacks.

        By Kafka's timestamp of what is held, which also tells how old a backlog is. Where nothing
        is held, the record at ``landed`` has waited at least since it was first missed.
        """
        now = self._clock.now().timestamp()
        if stamps := [chunk.min_timestamp for chunk in chain.chunks()]:
            moment = min(stamps) / 1000
        elif lag:
            landed, known = self._oldest.get(chain.partition, (chain.landed, now))
            moment = known if landed == chain.landed else now
        else:
            return None
        self._oldest[chain.partition] = (chain.landed, moment)
        return round(max(0.0, now - moment), 3)  # a producer's clock may be ahead of ours

    def _no_membership(self) -> dict[str, Any]:
        failure = self.member()
        return {
            "error": failure and failure.error,
            "failing_since": self._moment_of(failure and failure.since),
        }

    def _moment_of(self, since: float | None) -> str | None:
        if since is None:
            return None
        age = timedelta(seconds=self._clock.monotonic() - since)
        return rfc3339(self._clock.now() - age)

    def _replace(self, document: Document) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(document, indent=1) + "\n")
        temporary.replace(self._path)


def _lag(chain: Chain, end: int | None) -> int | None:
    """Return the offsets that storage lacks; None while the end of the chain is being found."""
    if end is None or chain.phase is Phase.LOCATING:
        return None
    return max(0, end - chain.landed)


def _first_failure(rows: Iterable[Document]) -> dict[str, Any]:
    """Return what has kept a partition from being landed for longest, and its name."""
    failing = [row for row in rows if row["failing_since"] is not None]
    if not failing:
        return {"error": None, "failing_since": None}
    first = min(failing, key=lambda row: row["failing_since"])
    text = f"{first['topic']}/{first['partition']}: {first['error']}"
    return {"error": text, "failing_since": first["failing_since"]}


def path(run: Path, name: str) -> Path:
    """Return the status file of the lander called ``name`` in the folder ``run``."""
    return run / f"{_PREFIX}{name}.json"


def documents(run: Path) -> list[Document]:
    """Return what every lander of the folder ``run`` told last, those that died included."""
    found = (_read(file) for file in sorted(run.glob(f"{_PREFIX}*.json")))
    return [document for document in found if document]


def sweep(run: Path, clock: Clock) -> None:
    """Remove the files of landers that died a while ago."""
    for one in run.glob(f"{_PREFIX}*.json"):
        document = _read(one)
        if document is None or psutil.pid_exists(document["pid"]):
            continue
        told = datetime.fromisoformat(document["updated_at"])
        if (clock.now() - told).total_seconds() > _KEPT_AFTER_DEATH_S:
            one.unlink(missing_ok=True)


def _read(file: Path) -> Document | None:
    try:
        found: Document = json.loads(file.read_text())
    except FileNotFoundError:  # a lander that ends removes its file
        return None
    return found
