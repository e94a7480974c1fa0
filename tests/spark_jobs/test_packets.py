"""What the stateful operator is given: every share the clocks, its trades, and counts."""

from typing import Any

import pyarrow as pa

from spark_jobs.transforms import packets
from spark_jobs.transforms.moments import Trade
from spark_jobs.transforms.packets import NOBODY, SHARES, pack, unpack
from spark_jobs.transforms.sitting import Arrival


def row(source: str | None = "simulator", share: int | None = 3, **changes: Any) -> dict[str, Any]:
    return {
        **{"source": source, "share": share, "reason": None, "symbol": "AAPL", "day": 15_764},
        **{"open_at": 1, "close_at": 2, "action": "new", "ref": None, "opening": True},
        **{"closing": False, "sent": 1000, "at": 4, "seq": 5, "partition": 0, "offset": 6},
        **{"price": 7, "size": 8, "event_id": "a", "fetched": 9, "simulated": True},
        **changes,
    }


def packed(*batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    given = (
        pa.RecordBatch.from_pylist(rows, pa.schema([*_TYPES.items()])).select(packets.COLUMNS)
        for rows in batches
    )
    return [one for batch in pack(given) for one in batch.to_pylist()]


_TYPES: dict[str, pa.DataType] = {
    **{"source": pa.string(), "share": pa.int32(), "reason": pa.string()},
    **{"symbol": pa.string(), "day": pa.int32(), "open_at": pa.int64(), "close_at": pa.int64()},
    **{"action": pa.string(), "ref": pa.string(), "opening": pa.bool_(), "closing": pa.bool_()},
    **{"sent": pa.int64(), "at": pa.int64(), "seq": pa.int64(), "partition": pa.int32()},
    **{"offset": pa.int64(), "price": pa.int64(), "size": pa.int64(), "event_id": pa.string()},
    **{"fetched": pa.int64(), "simulated": pa.bool_()},
}


def of(share: int, found: list[dict[str, Any]], source: str = "simulator") -> packets.Packet:
    mine = (one for one in found if (one["source"], one["share"]) == (source, share))
    return unpack((one["clocks"], one["counts"], one["arrivals"]) for one in mine)


def clocks(packet: packets.Packet) -> dict[int, int]:
    return {partition: one.newest for partition, one in packet.clocks.items()}


def test_a_partition_begins_with_the_newest_fetch_of_its_first_hundred_records() -> None:
    fetches = [50, 900, *range(200, 298), 999]
    places = [row(offset=1000 + n, fetched=at) for n, at in enumerate(fetches)]
    found = of(3, packed(places[60:], [*reversed(places[:60])]))
    assert found.clocks == {0: packets.Reading(999, 1000, 900)}
    (later,) = of(3, packed(places[100:])).clocks.values()
    assert later == packets.Reading(999, 1100, 999)


def test_a_record_comes_back_as_it_was() -> None:
    packet = of(3, packed([row()]))
    trade = Trade(
        at=4, seq=5, partition=0, offset=6, price=7, size=8, event_id="a", fetched=9, simulated=True
    )
    assert packet.arrivals == [Arrival("AAPL", 15_764, 1, 2, "new", None, True, False, 1000, trade)]


def test_every_share_gets_the_clocks_of_its_source_and_of_no_other() -> None:
    found = packed(
        [row(fetched=10), row(share=1, partition=2, fetched=30), row("finnhub", fetched=99)],
        [row(share=2, fetched=20, ref="b", action="cancel")],
    )
    for share in range(SHARES):
        assert clocks(of(share, found)) == {0: 20, 2: 30}
        assert clocks(of(share, found, "finnhub")) == {0: 99}
    assert [len(of(share, found).arrivals) for share in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert of(3, found).counts == {"events": 1}
    assert of(4, found).counts == {}


def test_a_fetch_beyond_kafka_s_own_time_moves_no_clock_further_than_that() -> None:
    found = packed([row(fetched=10**18, sent=20), row(fetched=15, sent=30, partition=1)])
    assert clocks(of(3, found)) == {0: 20, 1: 15}
    assert {one.trade.fetched for one in of(3, found).arrivals} == {10**18, 15}


def test_what_is_no_event_is_counted_by_reason_and_moves_no_clock() -> None:
    found = packed(
        [
            row(None, None, reason="invalid_json", symbol=None, fetched=None),
            row(reason="no_session", fetched=10**18),
            row(reason="no_session", fetched=10**18),
            row(fetched=10),
        ]
    )
    source, share = NOBODY
    assert of(share, found, source).counts == {"invalid_json": 1, "no_session": 2}
    assert clocks(of(3, found)) == {0: 10}


def test_an_empty_batch_makes_no_packets() -> None:
    assert packed([]) == []
