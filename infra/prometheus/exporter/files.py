"""What stages leave in the state folder: the audit's verdict, jobs' text files, spools, budgets."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from infra.prometheus.exporter.source import gauge, one, seconds
from ingestion.clock import Clock
from ingestion.errors import TapehouseError
from ingestion.limits.limit import microseconds
from ingestion.limits.overview import overview
from ingestion.produce.spool_file import FILE, contents
from ingestion.settings import LimitsSettings

_STAGES: Final = (
    *("kafka", "bronze", "lake", "rejected", "deduplicated"),
    *("warehouse", "silver", "quarantined"),
)
_VERDICTS: Final = ("ok", "behind", "violated", "unknown")


class VerdictError(TapehouseError):
    """The audit's verdict is not there, or is none."""


class Verdict:
    """The newest reconciliation, as `audit` wrote it."""

    name = "audit"

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Iterator[Metric]:
        """Return the verdict and, by partition, the records of every stage.

        Raises:
            VerdictError: nothing has been audited yet, or the file is no verdict.
        """
        try:
            found = json.loads(self._path.read_text())
            return iter(list(_of_verdict(found)))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise VerdictError(
                f"expected the audit's verdict in {self._path}, found {error!r}"
            ) from error


def _of_verdict(found: dict[str, Any]) -> Iterator[Metric]:
    verdict = found["verdict"]
    if verdict not in _VERDICTS:
        raise ValueError(f"no verdict: {verdict!r}")
    yield gauge(
        "audit_verdict",
        "1 for what the newest audit says: ok, behind (on its way), violated, unknown",
        ("verdict",),
        [((word,), word == verdict) for word in _VERDICTS],
    )
    finished = seconds(datetime.fromisoformat(found["finished_at"]))
    yield one("audit_finished_timestamp_seconds", "When it ended", finished)
    yield one("audit_duration_seconds", "How long it took", found["seconds"])
    statuses = Counter(check["status"] for check in found["checks"])
    yield gauge(
        "audit_checks",
        "Its checks by their outcome",
        ("status",),
        [((status,), count) for status, count in sorted(statuses.items())],
    )
    # A topic that was made anew has a row for each of its lives: together they are the topic.
    records, gaps = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    for row in found["table"]:
        place = str(row["topic"]), str(row["partition"])
        gaps[place] += row.get("gap") or 0
        for stage in _STAGES:
            if row.get(stage) is not None:  # a stage that such records never reach
                records[(stage, *place)] += row[stage]
    yield gauge(
        "audit_records",
        "Records of a partition, counted in each stage's own storage",
        ("stage", "topic", "partition"),
        sorted(records.items()),
    )
    yield gauge(
        "audit_gap_records",
        "Records that are in one stage and in none of the next",
        ("topic", "partition"),
        sorted(gaps.items()),
    )


class Jobs:
    """The text files that Spark's jobs write when they end, passed on as they are."""

    name = "jobs"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> Iterator[Metric]:
        """Return what the jobs' last runs told; nothing where none has run.

        Raises:
            OSError, ValueError: a file cannot be read.
        """
        for path in sorted(self._folder.glob("*.prom")):
            yield from text_string_to_metric_families(path.read_text())


class Spools:
    """What producers keep on disk until Kafka has it, by the spool's folder."""

    name = "spools"

    def __init__(self, folders: list[Path]) -> None:
        """``folders`` are spools or hold spools."""
        self._folders = folders

    def read(self) -> Iterator[Metric]:
        """Return what waits in each spool.

        Raises:
            SpoolError: one cannot be read.
        """
        spools = {p.parent for folder in self._folders for p in folder.glob(f"**/{FILE}")}
        found = {spool.name: contents(spool) for spool in sorted(spools)}
        labels = ("spool",)
        yield gauge(
            "spool_records",
            "Records that wait on disk for Kafka",
            labels,
            [((name,), held.records) for name, held in found.items()],
        )
        yield gauge(
            "spool_bytes", "Their bytes", labels, [((n,), h.size_bytes) for n, h in found.items()]
        )
        yield gauge(
            "spool_set_aside_records",
            "Records that Kafka refused for good and a spool keeps",
            labels,
            [((name,), sum(one.records for one in held.aside)) for name, held in found.items()],
        )


class Budgets:
    """What is left of the providers' request budgets on this machine."""

    name = "budgets"

    def __init__(self, folder: Path, settings: LimitsSettings, clock: Clock) -> None:
        self._folder = folder
        self._settings = settings
        self._clock = clock

    def read(self) -> Iterator[Metric]:
        """Return budgets, the smaller one where a provider has several accounts.

        Raises:
            LimitsError: the file of budgets cannot be read.
        """
        now = microseconds(self._clock.now())
        left: dict[tuple[str, str], float] = {}
        open_: dict[tuple[str], float] = {}
        for account in overview(self._folder, self._settings, now):
            shut = account.breaker != "closed" or account.held_until is not None
            open_[(account.provider,)] = max(shut, open_.get((account.provider,), 0))
            for limit in account.limits:
                key = account.provider, limit.limit
                left[key] = min(limit.left, left.get(key, limit.left))
        text = "Requests that a provider's limit still allows"
        yield gauge("provider_requests_left", text, ("provider", "limit"), sorted(left.items()))
        text = "1 while a provider is left alone: it refused for the rate, or failed too often"
        yield gauge("provider_shut", text, ("provider",), sorted(open_.items()))


class Disk:
    """The file system of the state folder."""

    name = "disk"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> Iterator[Metric]:
        """Return its size and what is free.

        Raises:
            OSError: the folder is not there.
        """
        usage = shutil.disk_usage(self._folder)
        yield one("disk_size_bytes", "Size of the file system of the state folder", usage.total)
        yield one("disk_free_bytes", "What of it is free for us", usage.free)
