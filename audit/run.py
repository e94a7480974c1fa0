"""One audit: read the stages from the last to the first, then compare neighbours."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from audit import bucket, built, compacted, kafka, lake, landed, loaded, warehouse
from audit.bronze import State as Bronze
from audit.bronze import read as read_bronze
from audit.bronze import remember
from audit.errors import AuditError
from audit.listing import Store
from audit.memory import Memory
from audit.model import Check, Partition, Verdict, good, unknown
from audit.settings import Settings
from audit.table import table

T = TypeVar("T")

TOPICS = ("stock-market-batch", "stock-quotes", "stock-market-realtime", "stock-market-dlq")
STAGES = ("kafka", "bronze", "lake", "warehouse", "silver", "gold")
# What has to be read to judge a stage.
_NEEDS = {
    "kafka": {"kafka"},
    "bronze": {"kafka", "bronze"},
    "lake": {"kafka", "bronze", "lake"},
    "warehouse": {"kafka", "bronze", "lake", "warehouse"},
    "silver": {"kafka", "warehouse"},
    "gold": {"warehouse"},
}


@dataclass(frozen=True)
class Options:
    """What to judge, and how much of it to read again."""

    stages: Collection[str] = STAGES
    full: bool = False
    deep: bool = False


@dataclass
class Readings:
    """What each stage held; None where it was not asked or could not be read."""

    sealed: dict[Partition, int] = field(default_factory=dict)
    raw: loaded.Raw | None = None
    parts: list[built.Parts] | None = None
    silver: list[Check] | None = None
    gold: list[Check] | None = None
    tables: dict[str, lake.LakeTable] | None = None
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    bronze: Bronze | None = None
    logs: dict[Partition, kafka.Log] | None = None


class Audit:
    """One run over one set of settings."""

    def __init__(
        self, settings: Settings, options: Options, on_wait: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._options = options
        self._on_wait = on_wait
        self._reads = set().union(*(_NEEDS[stage] for stage in options.stages))
        self._read_checks: list[Check] = []

    def run(self) -> Verdict:
        """Read, compare, and return the verdict."""
        began, started = time.monotonic(), datetime.now(UTC)
        readings = self._read()
        checks = [*self._read_checks, *self._judge(readings)]
        finished, seconds = datetime.now(UTC), time.monotonic() - began
        return Verdict(
            started.isoformat(),
            finished.isoformat(),
            round(seconds, 3),
            checks,
            table(readings, checks),
        )

    def _read(self) -> Readings:
        """Read the stages; upstream last, so that it holds all that downstream was made of."""
        found = Readings()
        broker = self._attempt("kafka", lambda: kafka.Kafka(self._settings.kafka()))
        places = self._attempt("kafka", lambda: broker.partitions(TOPICS)) if broker else None
        if broker and places is not None:
            marks = self._attempt("kafka", lambda: broker.watermarks(places)) or {}
            found.sealed = {place: high for place, (_, high) in marks.items()}
        self._attempt("warehouse", lambda: self._read_warehouse(found))
        found.tables = self._attempt("lake", lambda: lake.Lake(self._settings).read())
        if broker and places is not None:
            group = self._settings.get("KAFKA_LANDERS_GROUP", "landers")
            found.committed = self._attempt("kafka", lambda: broker.committed(group)) or {}
        found.bronze = self._attempt("bronze", self._read_bronze)
        if broker and places is not None:
            found.logs = self._attempt("kafka", lambda: broker.read(places, self._options.deep))
        if broker:
            broker.close()
        return found

    def _read_warehouse(self, found: Readings) -> None:
        catalog = lake.Lake(self._settings) if "lake" in self._reads else None
        with warehouse.opened(self._settings, self._on_wait) as opened:
            if "lake" in self._reads:
                found.raw = loaded.read(opened, catalog)
            found.parts = built.read(opened)
            found.silver = built.silver(opened)
            found.gold = built.gold(opened, self._settings.published())

    def _read_bronze(self) -> Bronze:
        store = Store(self._settings)
        options = self._options
        return read_bronze(store, self._memory(), options.full, options.deep)

    def _memory(self) -> Memory:
        store = f"{self._settings.store_url()}/{self._settings.bronze_bucket()}"
        return Memory(self._settings.state("audit", "bronze.json"), store)

    def _attempt(self, stage: str, step: Callable[[], T]) -> T | None:
        """Return what a step reads; None where it is not wanted or cannot be read."""
        if stage not in self._reads:
            return None
        name, invariant = f"{stage}.read", f"{stage} can be read"
        try:
            found = step()
        except AuditError as error:
            self._read_checks.append(unknown(name, invariant, str(error)))
            return None
        if not any(check.name == name for check in self._read_checks):
            self._read_checks.append(good(name, invariant))
        return found

    def _judge(self, found: Readings) -> list[Check]:
        judges: Mapping[str, Callable[[Readings], list[Check]]] = {
            "bronze": self._judge_bronze,
            "lake": _judge_lake,
            "warehouse": _judge_warehouse,
            "silver": lambda found: [
                *built.judge(found.parts or [], found.sealed),
                *(found.silver or []),
            ],
            "gold": lambda found: found.gold or [],
        }
        wanted = [
            judges[stage] for stage in STAGES if stage in judges.keys() & self._options.stages
        ]
        return [check for judge in wanted for check in judge(found)]

    def _judge_bronze(self, found: Readings) -> list[Check]:
        if found.bronze is None:
            return []
        checks = bucket.judge(found.bronze)
        if found.logs is not None:
            checks += landed.judge(found.logs, found.committed, found.bronze, found.sealed)
            if self._options.deep:
                checks += landed.same_bytes(found.logs, found.bronze)
            violated = {check.where() for check in checks if check.status == "violated"}
            remember(self._memory(), found.bronze, {place for place in violated if place})
        return checks


def _judge_lake(found: Readings) -> list[Check]:
    if found.bronze is None or found.tables is None:
        return []
    return compacted.judge(found.bronze.held, found.bronze.ends(), found.tables, found.sealed)


def _judge_warehouse(found: Readings) -> list[Check]:
    if found.raw is None:
        return []
    records = found.bronze.held if found.bronze else None
    return loaded.judge(found.raw, records, found.tables, found.sealed)
