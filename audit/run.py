"""One audit: read the stages from the last to the first, then compare neighbours."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from audit import bucket, built, compacted, kafka, lake, landed, leaks, loaded, produced, warehouse
from audit.bronze import State as Bronze
from audit.bronze import read as read_bronze
from audit.bronze import remember
from audit.compare import Sealed
from audit.errors import AuditError
from audit.hashes import absent
from audit.kafka import Kafka
from audit.lake import Lake
from audit.ledger import Ledger, Names
from audit.listing import Store
from audit.memory import Memory
from audit.model import Check, Partition, Verdict, good, unknown
from audit.proofs import Stages
from audit.settings import Settings
from audit.table import table
from audit.wanted import NOBODY, Wanted, confirmed

T = TypeVar("T")

TOPICS = ("stock-market-batch", "stock-quotes", "stock-market-realtime", "stock-market-dlq")
STAGES = ("ledger", "kafka", "bronze", "lake", "warehouse", "silver", "gold")
# Those of the warehouse.
_WAREHOUSE = frozenset({"warehouse", "silver", "gold"})
# What has to be read to judge a stage.
_NEEDS = {
    "ledger": {"ledger", "kafka", "bronze", "lake"},
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
    ledger: Path | None = None
    """The folder of the producers' ledgers; None where they have none."""

    is_complete: bool = False
    """Whether no producer was without a ledger."""

    is_ledger_asked: bool = False
    """Whether somebody relies on the ledger: one without a confirmation proves nothing to them."""

    secrets: bool = False
    """Whether logs and objects are searched for the secrets of the settings."""

    until: Mapping[Partition, int] = field(default_factory=dict)
    """Ends below which no record may be on its way any more."""


@dataclass(frozen=True)
class Sources:
    """What each storage is read with."""

    kafka: Callable[[Mapping[str, str]], Kafka] = Kafka
    store: Callable[[Settings], Store] = Store
    lake: Callable[[Settings], Lake] = Lake
    ledger: Callable[[Path], Ledger] = Ledger
    memory: Callable[[Path, str], Memory] = Memory


@dataclass
class Readings:
    """What each stage held; None where it was not asked or could not be read."""

    ledger: Ledger | None = None
    due: int = 0
    """How many confirmations the ledger had before anything else was read."""

    sealed: Sealed = field(default_factory=Sealed)
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
        self,
        settings: Settings,
        options: Options,
        on_wait: Callable[[str], None],
        sources: Sources = Sources(),
    ) -> None:
        self._settings = settings
        self._options = options
        self._on_wait = on_wait
        self._sources = sources
        asked = [s for s in STAGES if s in options.stages and (s != "ledger" or options.ledger)]
        elsewhere = unseen(settings).intersection(asked)
        self._stages = [stage for stage in asked if stage not in elsewhere]
        self._reads = set().union(*(_NEEDS[stage] for stage in self._stages))
        self._read_checks = [_not_read()] if elsewhere else []
        self.readings = Readings()

    def run(self) -> Verdict:
        """Read, compare, and return the verdict."""
        began, started = time.monotonic(), datetime.now(UTC)
        self.readings = readings = self._read()
        searched = self._search() if self._options.secrets else []
        checks = [*self._read_checks, *self._judge(readings), *searched]
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
        found = Readings(sealed=Sealed(until=self._options.until))
        self._attempt("ledger", lambda: self._read_ledger(found))
        broker = self._attempt("kafka", lambda: self._sources.kafka(self._settings.kafka()))
        places = self._attempt("kafka", lambda: broker.partitions(TOPICS)) if broker else None
        if broker and places is not None:
            self._read_checks += _hidden(places)
            marks = self._attempt("kafka", lambda: broker.watermarks(places)) or {}
            ends = {place: high for place, (_, high) in marks.items()}
            found.sealed = Sealed(ends, self._options.until)
        self._attempt("warehouse", lambda: self._read_warehouse(found))
        found.tables = self._attempt("lake", self._read_lake)
        if broker and places is not None:
            group = self._settings.get("KAFKA_LANDERS_GROUP", "landers")
            found.committed = self._attempt("kafka", lambda: broker.committed(group)) or {}
        found.bronze = self._attempt("bronze", lambda: self._read_bronze(found))
        if broker and places is not None:
            deep, wanted = self._options.deep, self._wanted(found, is_whole=_has_open(found))
            found.logs = self._attempt("kafka", lambda: broker.read(places, deep, wanted))
        if broker:
            broker.close()
        if found.ledger:  # what was written ahead of the newest records
            self._attempt("ledger", found.ledger.read)
        return found

    def _read_ledger(self, found: Readings) -> None:
        """Read what producers have confirmed before any stage, so that all of it is due there."""
        if self._options.ledger is not None:
            ledger = self._sources.ledger(self._options.ledger)
            found.due = len(ledger.read().acked.ids)
            found.ledger = ledger

    def _wanted(self, found: Readings, is_whole: bool) -> Wanted:
        """Return whose values the ledger is compared with."""
        if found.ledger is None:
            return NOBODY
        return confirmed(found.ledger.book, is_whole or self._options.is_complete)

    def _read_lake(self) -> dict[str, lake.LakeTable]:
        return self._sources.lake(self._settings).read(with_ids="ledger" in self._reads)

    def _read_warehouse(self, found: Readings) -> None:
        catalog = self._sources.lake(self._settings) if "lake" in self._reads else None
        with warehouse.opened(self._settings, self._on_wait) as opened:
            if "lake" in self._reads:
                found.raw = loaded.read(opened, catalog)
            found.parts = built.read(opened)
            found.silver = built.silver(opened)
            found.gold = built.gold(opened, self._settings.published())

    def _read_bronze(self, found: Readings) -> Bronze:
        store = self._sources.store(self._settings)
        options, wanted = self._options, self._wanted(found, is_whole=False)
        return read_bronze(store, self._memory(), options.full, options.deep, wanted)

    def _memory(self) -> Memory:
        store = f"{self._settings.store_url()}/{self._settings.bronze_bucket()}"
        return self._sources.memory(self._settings.state("audit", "bronze.json"), store)

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

    def _search(self) -> list[Check]:
        secrets = leaks.of_settings(self._settings.values)
        try:
            store = self._sources.store(self._settings)
            return leaks.judge(secrets, store, self._settings.state("log"))
        except AuditError as error:
            return [unknown("secrets.read", "logs and objects can be searched", str(error))]

    def _judge(self, found: Readings) -> list[Check]:
        judges: Mapping[str, Callable[[Readings], list[Check]]] = {
            "ledger": self._judge_ledger,
            "bronze": self._judge_bronze,
            "lake": _judge_lake,
            "warehouse": _judge_warehouse,
            "silver": lambda found: [
                *built.judge(found.parts or [], found.sealed),
                *(found.silver or []),
            ],
            "gold": lambda found: found.gold or [],
        }
        wanted = [judges[stage] for stage in self._stages if stage in judges]
        return [check for judge in wanted for check in judge(found)]

    def _judge_ledger(self, found: Readings) -> list[Check]:
        if found.ledger is None:
            return []
        reached = {}
        if found.bronze is not None and found.logs is not None:
            reached = landed.reached(found.logs, found.committed, found.bronze)
        values = None if found.bronze is None else found.bronze.valued
        stages = Stages(found.logs, values, reached, found.tables)
        book, names = found.ledger.book, Names(found.ledger)
        checks = produced.judge(book, found.due, stages, names, TOPICS, self._options.is_complete)
        if self._options.is_ledger_asked and not found.due:
            checks.append(_empty(found.ledger))
        return checks

    def _judge_bronze(self, found: Readings) -> list[Check]:
        if found.bronze is None:
            return []
        checks = [*bucket.judge(found.bronze), *landed.asked(self._options.until, found.bronze)]
        if found.logs is not None:
            checks += landed.judge(found.logs, found.committed, found.bronze, found.sealed)
            if self._options.deep:
                checks += landed.same_bytes(found.logs, found.bronze)
            violated = {check.where() for check in checks if check.status == "violated"}
            remember(self._memory(), found.bronze, {place for place in violated if place})
        return checks


def _hidden(places: Collection[Partition]) -> list[Check]:
    """Name the topics that Kafka does not show: nothing of them is compared with Kafka."""
    missing = sorted(set(TOPICS) - {place.topic for place in places})
    text = "Kafka shows no topic {}: it is not there, or the auditor's user may not describe it"
    return [
        unknown("kafka.topics", "Kafka shows every topic that is audited", text.format(topic))
        for topic in missing
    ]


def unseen(settings: Settings) -> frozenset[str]:
    """Return the stages that no audit with these settings can judge."""
    return frozenset() if settings.is_embedded() else _WAREHOUSE


def _not_read() -> Check:
    text = "the warehouse is an account elsewhere: its loads, silver and gold are not judged here"
    return Check("warehouse.read", "warehouse can be read", "skipped", text)


def _empty(ledger: Ledger) -> Check:
    text = f"expected a confirmation in {ledger.folder}, found none in {len(ledger.files())} files"
    return unknown("ledger.due", "the ledger that was asked for has something to judge", text)


def _has_open(found: Readings) -> bool:
    """Return whether the ledger has attempts that were not confirmed: they may be anywhere."""
    if found.ledger is None:
        return False
    book = found.ledger.book
    return bool(len(absent(book.acked.ids, book.intended.ids)))


def _judge_lake(found: Readings) -> list[Check]:
    if found.bronze is None or found.tables is None:
        return []
    return compacted.judge(found.bronze.held, found.bronze.ends(), found.tables, found.sealed)


def _judge_warehouse(found: Readings) -> list[Check]:
    if found.raw is None:
        return []
    records = found.bronze.held if found.bronze else None
    return loaded.judge(found.raw, records, found.tables, found.sealed)
