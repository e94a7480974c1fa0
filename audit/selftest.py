"""Audit the auditor: six violations in what it reads, and it has to turn red on each of them.

Nothing is changed in any storage: the answers are (`tampering`), and everything above is the
auditor as it always is.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from audit import tampering
from audit.errors import AuditError
from audit.hashes import look_up
from audit.lake import EVENT_TABLES, TABLES_OF_TOPIC, Lake, load
from audit.ledger import Ledger, Names
from audit.model import Check, Partition, Verdict
from audit.objects import Bronze
from audit.run import Audit, Options, Readings, Sources
from audit.settings import Settings

Result = Literal["red", "green", "not planted"]
Say = Callable[[str], None]

# A commit so far ahead that landers at work do not come to it while the store is read.
_AHEAD = 1_000_000


@dataclass(frozen=True)
class Plant:
    """One violation: where, in which answers, and the check that has to see it."""

    where: str
    check: str
    stage: str
    sources: Sources
    is_seen: Callable[[Check], bool]
    """Whether a violated check of that name is about this violation."""

    key: str = ""
    """The object to be read in any case."""


@dataclass(frozen=True)
class Outcome:
    """What became of one plant."""

    plant: str
    result: Result
    where: str = ""
    check: str = ""
    sentence: str = ""


@dataclass
class Report:
    """The self-test as a whole; without outcomes where the untampered audit was not good."""

    untampered: str
    reason: str = ""
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """Return 0 where all six are red, 1 where one stayed green, else 2."""
        results = {outcome.result for outcome in self.outcomes}
        if "green" in results:
            return 1
        return 0 if results == {"red"} else 2

    def document(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"exit_code": self.exit_code, **asdict(self)}

    def text(self) -> str:
        """Return the report as a table with a sentence below each row."""
        if self.reason:
            return f"self-test: NOT RUN: {self.reason}"
        widths = [max(len(row[at]) for row in self._rows()) for at in range(3)]
        lines = [line for row in self._rows() for line in _lines(row, widths)]
        red = sum(outcome.result == "red" for outcome in self.outcomes)
        return "\n".join([*lines, f"self-test: {red} of {len(self.outcomes)} plants turned red"])

    def _rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        yield ("plant", "verdict", "check", "where", "")
        for one in self.outcomes:
            yield (one.plant, one.result, one.check or "-", one.where, one.sentence)


def _lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)]
    yield "  ".join([*cells, row[3]]).rstrip()
    if row[4]:
        yield f"    {row[4]}"


class _NotPlantedError(Exception):
    """There is nothing to plant it in; the text says what is missing."""


def run(settings: Settings, options: Options, say: Say) -> Report:
    """Audit what is there, then with each violation."""
    recollection = tampering.Recollection()
    sources = Sources(memory=recollection)
    stages = ("bronze", "lake", *(["ledger"] if options.ledger else []))
    audit = Audit(settings, replace(options, stages=stages), say, sources)
    verdict = audit.run()
    if verdict.verdict not in ("ok", "behind"):
        return Report(verdict.verdict, _why_not(verdict))
    recollection.learns = False
    made = _Plants(settings, options, audit.readings, sources)
    report = Report(verdict.verdict)
    for name, plan in made.all():
        say(f"planting: {name}")
        report.outcomes.append(_judged(settings, options, name, plan, recollection, say))
    return report


def _why_not(verdict: Verdict) -> str:
    worst = next(check for check in verdict.checks if check.status == verdict.verdict)
    return (
        f"the audit of what is really there is {verdict.verdict}, and a plant would prove nothing: "
        f"{worst.name}: {worst.detail}"
    )


def _judged(
    settings: Settings,
    options: Options,
    name: str,
    plan: Callable[[], Plant],
    recollection: tampering.Recollection,
    say: Say,
) -> Outcome:
    try:
        plant = plan()
    except (_NotPlantedError, AuditError) as error:
        return Outcome(name, "not planted", sentence=str(error))
    recollection.forgotten = plant.key
    checks = (
        Audit(settings, replace(options, stages=(plant.stage,)), say, plant.sources).run().checks
    )
    told = Outcome(name, "green", plant.where, plant.check, "no check of this name is about it")
    for check in checks:
        if check.status == "unknown":
            told = replace(told, sentence=f"{check.name}: {check.detail}")
        if check.name == plant.check and check.status == "violated" and plant.is_seen(check):
            return replace(told, result="red", sentence=check.detail)
    return told


class _Plants:
    """Chooses where each violation is planted, from what the untampered audit read."""

    def __init__(
        self, settings: Settings, options: Options, found: Readings, sources: Sources
    ) -> None:
        self._settings = settings
        self._options = options
        self._found = found
        self._sources = sources

    def all(self) -> list[tuple[str, Callable[[], Plant]]]:
        """Return the six, by name."""
        return [
            ("object deleted", self._deleted),
            ("object truncated", partial(self._altered, tampering.truncated)),
            ("byte flipped", partial(self._altered, tampering.flipped)),
            ("Parquet file doubled", self._doubled),
            ("ledger id dropped", self._dropped),
            ("commit ahead", self._ahead),
        ]

    def _deleted(self) -> Plant:
        chosen = min(self._inner(), key=lambda item: item.key, default=None)
        if chosen is None:
            raise _NotPlantedError("no partition of bronze has two objects")
        store = tampering.without_object(chosen.key)
        return Plant(
            chosen.key,
            "bronze.chain",
            "bronze",
            replace(self._sources, store=store),
            lambda check: check.where() == chosen.partition and chosen.start in check.examples,
        )

    def _inner(self) -> Iterator[Bronze]:
        """Yield the objects that another one follows: without them the chain has a gap."""
        for items in self._objects():
            yield from (item for item in items[:-1] if item.runs)

    def _objects(self) -> Iterable[list[Bronze]]:
        return self._found.bronze.objects.values() if self._found.bronze else ()

    def _altered(self, change: tampering.Change) -> Plant:
        held = (item for items in self._objects() for item in items if item.runs)
        chosen = min(held, key=lambda item: (_records(item), item.key), default=None)
        if chosen is None:
            raise _NotPlantedError("bronze has no object with a record")
        store = tampering.with_body(chosen.key, change)
        return Plant(
            chosen.key,
            "bronze.objects",
            "bronze",
            replace(self._sources, store=store),
            lambda check: chosen.key in check.examples,
            key=chosen.key,
        )

    def _doubled(self) -> Plant:
        tables = self._found.tables or {}
        counts = {
            name: sum(map(len, tables[name].rows.values()))
            for name in EVENT_TABLES
            if name in tables
        }
        name = min(
            (name for name, rows in counts.items() if rows), key=counts.__getitem__, default=None
        )
        if name is None:
            raise _NotPlantedError("the lake has no event")
        lake = partial(Lake, made=tampering.doubling(name))
        topics = {topic for topic, names in TABLES_OF_TOPIC.items() if name in names}
        return Plant(
            f"{name}: {self._first_file(name)}",
            "lake.records",
            "lake",
            replace(self._sources, lake=lake),
            lambda check: check.topic in topics and "more than once" in check.detail,
        )

    def _first_file(self, name: str) -> str:
        with Lake(self._settings).catalog() as catalog:
            table = load(catalog, name)
            return tampering.first_file(table) if table else name

    def _dropped(self) -> Plant:
        ledger, folder = self._found.ledger, self._options.ledger
        if ledger is None or folder is None:
            raise _NotPlantedError("there is no ledger: give --ledger FOLDER")
        place, offset, name = self._confirmed(ledger)
        is_complete = self._options.is_complete
        opened = tampering.without_lines(name, only_intents=not is_complete)
        return Plant(
            f"id {name}, {place} offset {offset}",
            "ledger.alien" if is_complete else "ledger.intended",
            "ledger",
            replace(self._sources, ledger=partial(Ledger, opened=opened)),
            lambda check: (offset if is_complete else name) in check.examples,
        )

    def _confirmed(self, ledger: Ledger) -> tuple[Partition, int, str]:
        """Return a confirmed record that Kafka still has."""
        book, acks = ledger.book, ledger.book.acked
        for place, log in sorted((self._found.logs or {}).items()):
            if place.topic not in book.topics:
                continue
            here = acks.of(book.topics.index(place.topic), place.partition)
            there = np.flatnonzero(look_up(log.valued.offsets, here.offsets)[1])
            for name in Names(ledger).of(here.ids[there[:1]]):
                return place, int(here.offsets[there[0]]), name
        raise _NotPlantedError("Kafka has no record that the ledger has confirmed")

    def _ahead(self) -> Plant:
        ends = self._found.bronze.ends() if self._found.bronze else {}
        places = sorted(place for place in self._found.logs or () if ends.get(place))
        if not places:
            raise _NotPlantedError("bronze has no object of a topic that Kafka has")
        place, offset = places[0], ends[places[0]] + _AHEAD
        return Plant(
            f"{place} offset {offset}",
            "kafka.committed",
            "bronze",
            replace(self._sources, kafka=tampering.committed_at(place, offset)),
            lambda check: check.where() == place,
        )


def _records(item: Bronze) -> int:
    return sum(last - first for first, last in item.runs)
