"""What the pages of a commit tell of their lines, in the driver: 24 bytes a line, no more.

A commit has a bound, so its hashes fit everywhere: they are sorted here and sent to where the
table's rows are, and no row is moved to find out that nearly all event_ids are new and alone.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame

from spark_jobs.positions import Chain
from spark_jobs.schemas import REJECTS
from spark_jobs.transforms import dedupe
from spark_jobs.transforms.objects import Numbers, Place, Wanted
from spark_jobs.transforms.pages import CHAIN, contains

_EPOCH: Final = date(1970, 1, 1)
_NONE: Final[Numbers] = np.empty(0, np.int64)
_TOLD: Final = ("kind", "lines", "repeated", "first", "last", "days", "numbers", "hashes", "fresh")

# Of a line that was looked at alone.
FACTS: Final = {
    **dict.fromkeys(CHAIN, "object"),
    **{"object_start": "int64", "offset": "object", "kind": "object", "reason": "object"},
    **{dedupe.DESTINATION: "object", dedupe.IN_TABLE: "bool"},
    **dict.fromkeys(("was_event", "is_fresh", "is_beyond"), "bool"),
}
# Of one object: lines, repeated, first, last; rows to append by table; refused by reason.
Count = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What one page tells: of events their table is ``kind``, else it is None."""

    place: Place
    kind: str | None
    lines: int
    repeated: int
    first: int | None
    last: int | None
    days: list[int] | None
    numbers: Numbers
    hashes: Numbers
    fresh: int | None


@dataclass(frozen=True)
class Tally:
    """What all pages of a commit tell."""

    pages: list[Told]

    @classmethod
    def of(cls, pages: DataFrame) -> "Tally":
        """Make the pages, and collect what they tell."""
        told = pages.select(*CHAIN, "object_start", *_TOLD).toArrow()
        return cls([_told(row) for row in _rows(told)])

    def touched(self) -> dict[str, list[date]]:
        """Return the sessions that events of each table lie in."""
        found: dict[str, set[int]] = defaultdict(set)
        for page in self.pages:
            if page.kind is not None:
                found[page.kind].update(page.days or ())
        return {kind: [_EPOCH + timedelta(days=n) for n in sorted(d)] for kind, d in found.items()}

    def hashes(self) -> Numbers:
        """Return the hashes of all events, ascending; one is there as often as events have it."""
        return np.sort(np.concatenate([_NONE, *(page.hashes for page in self.pages)]))

    def doubtful(self, hits: Numbers) -> Wanted:
        """Return the events with a hash that is there twice, or among the table's (``hits``)."""
        everything = self.hashes()
        again = everything[1:][everything[1:] == everything[:-1]]
        hashes = np.union1d(again, hits)
        chosen = ((p.place, p.numbers[contains(hashes, p.hashes)]) for p in self.pages if p.kind)
        return _wanted(chosen)

    def refused(self) -> Wanted:
        """Return the lines that are no events."""
        return _wanted((page.place, page.numbers) for page in self.pages if page.kind is None)


def no_facts() -> pd.DataFrame:
    """Return the columns `FACTS`, without a line."""
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in FACTS.items()})


def both(one: Wanted, other: Wanted) -> dict[Place, Numbers]:
    """Return the lines of both."""
    return _wanted([*one.items(), *other.items()])


def counts(tally: Tally, odd: pd.DataFrame) -> list[Count]:
    """Count per object what was read and where it goes.

    Args:
        tally: the pages of the objects.
        odd: the lines that were looked at alone: columns `FACTS`.
    """
    found: dict[Place, Count] = {}
    for page in tally.pages:
        _count_page(found.setdefault(page.place, _nothing(page.place)), page)
    for names, rows in odd.groupby([*CHAIN, "object_start"]):
        key: Any = names
        place = Place(Chain(*key[:3]), int(key[3]))
        _count_odd(found.setdefault(place, _nothing(place)), rows)
    return list(found.values())


def dropped(odd: pd.DataFrame) -> dict[Chain, Numbers]:
    """Return the offsets, by chain and ascending, of events that are not to be appended."""
    gone = odd[odd["was_event"] & ((odd["destination"] != odd["kind"]) | odd["in_table"])]
    found = {}
    for names, rows in gone.groupby(list(CHAIN)):
        chain: Any = names
        found[Chain(*chain)] = np.sort(rows["offset"].to_numpy(np.int64))
    return found


def _count_page(count: Count, page: Told) -> None:
    count["repeated"] += page.repeated
    spans = [(count["first"], count["last"]), (page.first, page.last)]
    known = [(first, last) for first, last in spans if first is not None]
    count["first"] = min((first for first, _ in known), default=None)
    count["last"] = max((last for _, last in known), default=None)
    if page.kind is not None:
        count["lines"] += page.lines
        count[page.kind] += page.fresh


def _count_odd(count: Count, rows: pd.DataFrame) -> None:
    # Lines that are no events count when they were seen to have a reason: a page is no proof.
    count["lines"] += int((~rows["was_event"]).sum())
    is_event, is_reject = rows["was_event"], rows["destination"] == REJECTS.name
    count["appended_before"] += int((rows["in_table"] & rows["is_beyond"]).sum())
    taken_back = rows[is_event & rows["is_fresh"] & (is_reject | rows["in_table"])]
    for kind, some in taken_back.groupby("kind"):
        count[str(kind)] -= len(some)
    refused = rows[is_reject & rows["is_beyond"]]
    count[REJECTS.name] += len(refused)
    for reason, some in refused.groupby("reason"):
        count[f"reason_{reason}"] += len(some)


def _nothing(place: Place) -> Count:
    start = {**place.columns(), "first": None, "last": None}
    return defaultdict(int, start)


def _wanted(
    lines: Iterator[tuple[Place, Numbers]] | list[tuple[Place, Numbers]],
) -> dict[Place, Numbers]:
    found: dict[Place, list[Numbers]] = defaultdict(list)
    for place, numbers in lines:
        if len(numbers):
            found[place].append(numbers)
    return {place: np.unique(np.concatenate(some)) for place, some in found.items()}


def _rows(told: pa.Table) -> Iterator[Mapping[str, Any]]:
    for batch in told.to_batches():
        yield from batch.to_pylist()


def _told(row: Mapping[str, Any]) -> Told:
    place = Place(Chain(*(row[name] for name in CHAIN)), row["object_start"])
    arrays = {name: np.frombuffer(row[name] or b"", np.int64) for name in ("numbers", "hashes")}
    fields: dict[str, Any] = {name: row[name] for name in _TOLD} | arrays
    return Told(place, **fields)
