"""Pages: lines of an object that go to one partition of a table, as Arrow's own bytes.

Between the worker that decodes an object and the one that sorts a partition's rows nobody looks at
their columns, so that the JVM moves pages, not rows. Beside its rows a page tells of its lines what
is counted and compared before any is written (``tally``). A page without ``kind`` tells of lines
that are no events: they are looked up in bronze again, by their numbers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.model import Model
from spark_jobs.positions import Chain
from spark_jobs.schemas import BARS, Table
from spark_jobs.transforms import layout
from spark_jobs.transforms.hashes import hashes, with_hash
from spark_jobs.transforms.layout import Array
from spark_jobs.transforms.objects import Lines, Numbers, decoded

CHAIN: Final = ("topic", "generation", "partition")
PAGE: Final = pa.schema(
    [
        *((name, layout.HEAD[name]) for name in (*CHAIN, "object_start")),
        ("kind", layout.TEXT),
        ("part", pa.int32()),  # of the table's partitions (``part_of``)
        ("lines", pa.int64()),
        ("repeated", pa.int64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("days", pa.list_(pa.int32())),
        ("numbers", pa.binary()),  # of the lines in their object: 64-bit integers
        ("hashes", pa.binary()),  # of their event_ids: the same
        ("fresh", pa.int64()),  # lines beyond the table's position: the rows of the page
        ("rows", pa.binary()),
    ]
)
# Rows that go back to the JVM at once.
_BATCH: Final = 16_384
# Not in a page: its object's chain, and what is known only when it is written.
_LATER: Final = (*CHAIN, "compacted_at")

Mask = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int32]


class Calendar(NamedTuple):
    """The exchange's sessions: their dates, and each local day's begin and end (µs, UTC)."""

    dates: Days
    begins: Numbers
    ends: Numbers

    @classmethod
    def of(cls, dates: Iterable[date], zone: ZoneInfo) -> "Calendar":
        """Return the calendar of sessions on these dates, in order, in a time zone."""
        days = list(dates)
        begins = [_midnight(day, zone) for day in days]
        ends = [_midnight(day + timedelta(days=1), zone) for day in days]
        return cls(np.array(days, "datetime64[D]").astype(np.int32), _micros(begins), _micros(ends))

    def days(self, moments: Numbers) -> tuple[Mask, Days]:
        """Return which moments (µs) lie in a session, and its date; else any date."""
        place = np.searchsorted(self.begins, moments, "right") - 1
        return (place >= 0) & (moments < self.ends[place]), self.dates[place]


def part_of(table: Table, days: Days) -> Days:
    """Return the numbers of the table's partitions that sessions lie in: days or years."""
    if table.partitioning == "session_date":
        return days
    if table.partitioning == "years(session_date)":
        return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int32)
    raise ValueError(f"expected sessions or their years, found {table.partitioning}")


@dataclass(frozen=True)
class Pager:
    """Objects (path, content) to pages.

    ``kept`` is the part of the model with the objects' tables, ``covered`` their positions.
    """

    model: Model
    kept: Model
    calendar: Calendar
    covered: Mapping[str, Mapping[Chain, int]]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Decode what Spark hands over."""
        for place, parts in groupby(decoded(batches, self.model), key=attrgetter("place")):
            seen = Seen()
            here = place.columns()
            for found in parts:
                repeated = seen.again(found.columns["offset"])
                for page in self._pages(found, repeated):
                    yield pa.RecordBatch.from_pylist([here | page], PAGE)

    def _pages(self, found: Lines, repeated: Mask) -> Iterator[dict[str, Any]]:
        are_events, days = self._placed(found.columns)
        if not are_events.all():
            yield _told(found, repeated, np.flatnonzero(~are_events))
        for table in self.kept.events:
            mine = are_events & _equal(found.columns, "kind", table.name)
            parts = part_of(table, days)
            for part in np.unique(parts[mine]):
                chosen = np.flatnonzero(mine & (parts == part))
                told = _told(found, repeated, chosen)
                yield (
                    told
                    | {"kind": table.name, "part": part}
                    | self._page(table, found, days, chosen)
                )

    def _placed(self, columns: Mapping[str, Array]) -> tuple[Mask, Days]:
        """Return which lines are events of a session, by the rules of ``conform``, and its date."""
        count = len(columns["offset"])
        if "event_at" not in columns:
            return np.zeros(count, np.bool_), np.zeros(count, np.int32)
        moments = columns["event_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
        placed, days = self.calendar.days(moments.to_numpy())
        if "reason" in columns:
            placed &= columns["reason"].is_null().to_numpy(zero_copy_only=False)
        strayed = _equal(columns, "kind", BARS.name) & (_stated(columns, count) != days)
        return placed & ~strayed, days

    def _page(self, table: Table, found: Lines, days: Days, chosen: Numbers) -> dict[str, Any]:
        columns = _taken(found.columns, chosen)
        covered = self.covered[table.name].get(found.place.chain, 0)
        fresh = np.flatnonzero(columns["offset"].to_numpy() >= covered)
        mine = days[chosen]
        dated = columns | {"session_date": pa.array(mine).cast(pa.date32())}
        return {
            "days": np.unique(mine).tolist(),
            "hashes": hashes(columns["event_id"]).tobytes(),
            "fresh": len(fresh),
            "rows": _packed(layout.batch(_taken(dated, fresh), _paged(table)))
            if len(fresh)
            else None,
        }


@dataclass(frozen=True)
class Merger:
    """Pages (part, chain, rows), those of a partition together, to a table's rows in its order.

    ``dropped`` are the offsets of events that have turned out not to be new.
    """

    table: Table
    dropped: Mapping[Chain, Numbers]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Merge what Spark hands over."""
        expected = merged_schema(self.table)
        for _, pages in groupby(_entries(batches), key=itemgetter(0)):
            yield from self._merged([(chain, rows) for _, chain, rows in pages], expected)

    def _merged(
        self, pages: list[tuple[Chain, pa.Buffer]], expected: pa.Schema
    ) -> Iterator[pa.RecordBatch]:
        chains = sorted({chain for chain, _ in pages})
        parts = [self._new(rows, chain, chains.index(chain)) for chain, rows in pages]
        pages.clear()
        rows = _joined(parts)
        parts.clear()
        order = in_order(rows, self.table.sort)
        for first in range(0, len(order), _BATCH):
            places: Array = pa.array(order[first : first + _BATCH])
            some = rows.take(places)
            columns = dict(zip(some.schema.names, some.columns, strict=True))
            here = chains_of(chains, columns.pop("chain"))
            yield layout.batch(columns | here, expected)

    def _new(self, packed: pa.Buffer, chain: Chain, number: int) -> pa.RecordBatch:
        rows = pa.ipc.open_stream(packed).read_next_batch()
        dropped = self.dropped.get(chain)
        if dropped is not None:
            rows = rows.filter(pa.array(~contains(dropped, _numbers(rows.column("offset")))))
        return rows.append_column("chain", pa.repeat(pa.scalar(number, pa.int32()), len(rows)))


@dataclass(frozen=True)
class Hits:
    """A table's event_ids to those hashes of them that a batch has, too."""

    batch: Numbers

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Look up what Spark hands over."""
        for batch in batches:
            found = hashes(with_hash(batch.column(0)))
            hits = np.unique(found[contains(self.batch, found)])
            yield pa.RecordBatch.from_arrays([pa.array(hits)], schema=HITS)


HITS: Final = pa.schema([("hash", pa.int64())])


class Seen:
    """The offsets of one object's lines so far."""

    def __init__(self) -> None:
        self._offsets: Numbers = np.empty(0, np.int64)

    def again(self, values: Array) -> Mask:
        """Tell which of the next lines repeat an offset; one without offset does not."""
        is_there = values.is_valid().to_numpy(zero_copy_only=False)
        found = np.zeros(len(values), np.bool_)
        found[is_there] = self._again(values.drop_null().to_numpy())
        return found

    def _again(self, offsets: Numbers) -> Mask:
        repeated = np.ones(len(offsets), np.bool_)
        repeated[np.unique(offsets, return_index=True)[1]] = False
        known, self._offsets = self._offsets, np.concatenate([self._offsets, offsets])
        # Offsets ascend in what the lander writes: then there is nothing to compare.
        if len(known) and len(offsets) and offsets.min() <= known.max():
            repeated |= np.isin(offsets, known)
        return repeated


def merged_schema(table: Table) -> pa.Schema:
    """Return the columns that ``Merger`` gives: the table's but for the time of compaction."""
    whole = layout.table_schema(table)
    return pa.schema([field for field in whole if field.name != "compacted_at"])


def contains(ascending: Numbers, values: Numbers) -> Mask:
    """Tell which values are among some that ascend."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: Mask = ascending[place] == values
    return found


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    library: Any = pa  # the stubs lack it
    joined: pa.RecordBatch = library.concat_batches(parts)
    return joined


def in_order(rows: pa.RecordBatch, names: tuple[str, ...]) -> Numbers:
    """Return the places of rows in the order of columns, which have no NULL; text by its bytes."""
    return np.lexsort([_ranks(rows.column(name)) for name in reversed(names)])


def chains_of(chains: list[Chain], numbers: Array) -> dict[str, Array]:
    """Return the columns of chains, given by their places in a list."""
    return {
        name: pa.array([chain[place] for chain in chains], layout.HEAD[name]).take(numbers)
        for place, name in enumerate(CHAIN)
    }


def _ranks(values: Array) -> Numbers:
    if not pa.types.is_string(values.type):
        return _numbers(values.view(pa.int64() if values.type.bit_width == 64 else pa.int32()))
    encoded = values.dictionary_encode()
    return _numbers(pc.rank(encoded.dictionary).take(encoded.indices))


def _numbers(values: Array) -> Numbers:
    numbers: Numbers = values.to_numpy().astype(np.int64)
    return numbers


def _told(found: Lines, repeated: Mask, chosen: Numbers) -> dict[str, Any]:
    span: Any = pc.min_max(found.columns["offset"].take(pa.array(chosen))).as_py()
    return {
        "lines": len(chosen),
        "repeated": int(repeated[chosen].sum()),
        "first": span["min"],
        "last": span["max"],
        "numbers": found.numbers[chosen].tobytes(),
    }


def _equal(columns: Mapping[str, Array], name: str, value: str) -> Mask:
    if name not in columns:
        return np.zeros(len(columns["offset"]), np.bool_)
    equal: Array = pc.equal(columns[name], pa.scalar(value))
    mask: Mask = equal.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _stated(columns: Mapping[str, Array], count: int) -> Days:
    """Return the session that a bar says it is of; of anything else none."""
    if "bar_session" not in columns:
        return np.full(count, np.iinfo(np.int32).min, np.int32)
    stated = columns["bar_session"].cast(pa.int32()).fill_null(np.iinfo(np.int32).min)
    days: Days = stated.to_numpy()
    return days


def _taken(columns: Mapping[str, Array], chosen: Numbers) -> dict[str, Array]:
    if len(chosen) == len(columns["offset"]):
        return dict(columns)
    places = pa.array(chosen)
    return {name: values.take(places) for name, values in columns.items()}


def _paged(table: Table) -> pa.Schema:
    whole = layout.table_schema(table)
    return pa.schema([field for field in whole if field.name not in _LATER])


def _packed(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(sink, rows.schema, options=options) as stream:
        stream.write_batch(rows)
    return sink.getvalue().to_pybytes()


def _entries(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Chain, pa.Buffer]]:
    for batch in batches:
        parts, topics, generations, partitions, rows = (
            batch.column(name) for name in ("part", *CHAIN, "rows")
        )
        for at in range(len(batch)):
            chain = Chain(topics[at].as_py(), generations[at].as_py(), partitions[at].as_py())
            yield parts[at].as_py(), chain, rows[at].as_buffer()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _micros(moments: list[datetime]) -> Numbers:
    return np.array([round(moment.timestamp()) * 1_000_000 for moment in moments], np.int64)
