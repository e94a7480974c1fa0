"""The events of a batch, packed by source and share of its symbols; runs in Spark's workers.

The stateful operator is given few rows: it takes its input row by row, at about 10 µs each. A
packet goes to every share of a source, with trades for it or without: the clocks are everyone's.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.transforms.moments import Trade
from spark_jobs.transforms.sitting import Arrival

# A key of the state: another number makes another state.
SHARES: Final = 16

_TRADE: Final[dict[str, pa.DataType]] = {
    "at": pa.int64(),
    "seq": pa.int64(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "price": pa.int64(),
    "size": pa.int64(),
    "event_id": pa.string(),
    "fetched": pa.int64(),
    "simulated": pa.bool_(),
}
_ARRIVAL: Final[dict[str, pa.DataType]] = {
    "symbol": pa.string(),
    "day": pa.int32(),
    "open_at": pa.int64(),
    "close_at": pa.int64(),
    "action": pa.string(),
    "ref": pa.string(),
    "opening": pa.bool_(),
    "closing": pa.bool_(),
    "sent": pa.int64(),
}
COLUMNS: Final = ("source", "share", "reason", *_ARRIVAL, *_TRADE)
"""What ``pack`` takes; ``reason`` is NULL for an event. Units: see ``Arrival`` and ``Trade``."""
_PACKET: Final[dict[str, pa.DataType]] = {
    "source": pa.string(),
    "share": pa.int32(),
    "clocks": pa.binary(),
    "counts": pa.binary(),
    "arrivals": pa.binary(),
}
PACKET: Final = pa.schema(list(_PACKET.items()))
_ARRIVALS: Final = pa.schema([*_ARRIVAL.items(), *_TRADE.items()])
# How many records show when a partition's reading began: one alone may be an old fetch, sent again.
_FIRST: Final = 100
# Nobody's: records that are no events have no clock, and perhaps no source.
NOBODY: Final = ("", 0)

_Packed = tuple[str, int, bytes, bytes, bytes | None]

_encode = msgspec.msgpack.Encoder().encode
_counts = msgspec.msgpack.Decoder(dict[str, int])


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """What a batch shows of a source's clock in one Kafka partition.

    ``newest`` is the newest fetch; ``first`` the newest among the first records, of which the first
    has ``offset``.
    """

    newest: int
    offset: int
    first: int

    def joined(self, other: "Reading") -> "Reading":
        """Return what both show."""
        newest, early = max(self.newest, other.newest), min(self, other, key=lambda r: r.offset)
        return Reading(newest, early.offset, early.first)


class Packet(msgspec.Struct, frozen=True):
    """A share's part of a batch: events, clocks by Kafka partition, counts of what was read."""

    arrivals: list[Arrival]
    clocks: dict[int, Reading]
    counts: dict[str, int]


_clocks = msgspec.msgpack.Decoder(dict[int, Reading])


def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn batches of ``COLUMNS`` into batches of ``PACKET``."""
    for batch in batches:
        packets = [*_packets(pa.Table.from_batches([batch]))]
        columns = zip(*packets, strict=True) if packets else ((),) * len(PACKET)
        arrays = [
            pa.array(values, kind) for values, kind in zip(columns, PACKET.types, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=PACKET)


def _packets(table: pa.Table) -> Iterator[_Packed]:
    rejects = Counter(table["reason"].drop_null().to_pylist())
    if rejects:
        yield (*NOBODY, _encode({}), _encode(dict(rejects)), None)
    events = table.filter(pc.field("reason").is_null())
    for source in set(events["source"].to_pylist()):
        yield from _packets_of(str(source), _where(events, "source", str(source)))


def _packets_of(source: str, events: pa.Table) -> Iterator[_Packed]:
    partitions = cast(list[int], pc.unique(events["partition"]).to_pylist())
    clocks = _encode({p: _reading(_where(events, "partition", p)) for p in partitions})
    for share in range(SHARES):
        mine = _where(events, "share", share)
        counts = _encode({"events": mine.num_rows} if mine.num_rows else {})
        yield source, share, clocks, counts, _serialized(mine) if mine.num_rows else None


def _reading(events: pa.Table) -> Reading:
    # Nothing is fetched after it was sent: a fetch beyond that is a wrong clock's, and one such
    # record would close its partition for all that come after it.
    shown = pc.min_element_wise(events["fetched"], events["sent"])
    early = pc.sort_indices(events["offset"])[:_FIRST]
    return Reading(
        newest=pc.max(shown).as_py(),
        offset=pc.min(events["offset"]).as_py(),
        first=pc.max(shown.take(early)).as_py(),
    )


def _where(events: pa.Table, name: str, value: str | int) -> pa.Table:
    return events.filter(pc.field(name) == value)


def _serialized(events: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ARRIVALS) as writer:
        writer.write_table(events.select(_ARRIVALS.names).cast(_ARRIVALS))
    return sink.getvalue().to_pybytes()


def unpack(packets: Iterable[tuple[bytes, bytes, bytes | None]]) -> Packet:
    """Join the packets (clocks, counts, arrivals) of one share and batch."""
    found, clocks, counts = list[Arrival](), dict[int, Reading](), Counter[str]()
    for one_clocks, one_counts, arrivals in packets:
        for partition, one in _clocks.decode(one_clocks).items():
            clocks[partition] = one.joined(clocks.get(partition, one))
        counts.update(_counts.decode(one_counts))
        if arrivals is not None:
            found += _arrivals(arrivals)
    return Packet(found, clocks, dict(counts))


def _arrivals(data: bytes) -> Iterator[Arrival]:
    with pa.ipc.open_stream(data) as reader:
        columns = [column.to_pylist() for column in reader.read_all().itercolumns()]
    width = len(_ARRIVAL)
    trades = map(Trade, *columns[width:])
    return map(Arrival, *columns[:width], trades)
