"""Pages: what goes into them comes out sorted, once, in its session, and what they tell is so."""

import random
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ingestion import calendar
from ingestion.contracts.topics import BATCH, REALTIME
from spark_jobs.context import sessions_of
from spark_jobs.model import MODEL
from spark_jobs.positions import Chain
from spark_jobs.schemas import BARS, TRADES
from spark_jobs.transforms import conform, dedupe, objects, parse
from spark_jobs.transforms.hashes import hashes
from spark_jobs.transforms.objects import Decoder
from spark_jobs.transforms.pages import Calendar, Hits, Merger, Pager, part_of
from tests.spark_jobs.folder_bronze import GENERATION, FolderBronze, line, value_line
from tests.spark_jobs.messages import bar, trade
from tests.spark_jobs.test_objects import batch, canonical

XNYS = calendar.get()
CALENDAR = Calendar.of((s.session_date for s in XNYS.sessions()), XNYS.zone)
CHAIN = Chain(REALTIME, GENERATION, 3)
DAY_1, DAY_2 = (datetime(2013, 2, day, 15, tzinfo=UTC) for day in (27, 28))

Row = dict[str, Any]


def pager(covered: Mapping[Chain, int] | None = None) -> Pager:
    return Pager(MODEL, MODEL, CALENDAR, {table.name: covered or {} for table in MODEL.events})


def paged(lines: list[bytes], topic: str = REALTIME, **options: Any) -> list[Row]:
    blob = b"".join(body + b"\n" for body in lines)
    found = pager(**options)([batch(topic, blob)])
    return [row for out in found for row in out.to_pylist()]


def merged(pages: list[Row], dropped: Mapping[Chain, np.ndarray] | None = None) -> list[list[Row]]:
    """The rows of each partition, as a task gets and gives them."""
    mine = [page for page in pages if page["kind"] == TRADES.name and page["rows"]]
    mine.sort(key=lambda page: page["part"])
    given = pa.RecordBatch.from_pylist(mine)
    found: dict[date, list[Row]] = {}
    for out in Merger(TRADES, dropped or {})([given]):
        for row in out.to_pylist():
            found.setdefault(row["session_date"], []).append(row)
    return list(found.values())


def numbers(page: Row) -> list[int]:
    return np.frombuffer(page["numbers"], np.int64).tolist()


def test_rows_come_out_of_pages_as_they_went_in_sorted_by_symbol_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objects, "_CHUNK_BYTES", 4_000)
    draw = random.Random(5)
    lines = [
        value_line(
            n,
            canonical(
                trade(
                    n,
                    draw.choice([DAY_1, DAY_2]) + timedelta(seconds=draw.randrange(3_000)),
                    symbol=draw.choice(["MSFT", "AAPL", "BRK.B", "A"]),
                    exchange=draw.choice([None, "Q", "\u00e9"]),
                    conditions=draw.choice([[], ["@", "odd lot"]]),
                )
            ),
        )
        for n in range(300)
    ]
    lines.insert(100, b"{broken")

    days = merged(paged(lines), {CHAIN: np.array([4, 250])})

    blob = b"".join(body + b"\n" for body in lines)
    decoded = [
        row for out in Decoder(MODEL, MODEL)([batch(REALTIME, blob)]) for row in out.to_pylist()
    ]
    names = [name for name in TRADES.columns if name not in ("session_date", "compacted_at")]
    expected = {row["offset"]: {n: row[n] for n in names} for row in decoded if not row["reason"]}
    found = {row["offset"]: {n: row[n] for n in names} for rows in days for row in rows}
    assert len(days) == 2
    assert sum(map(len, days)) == 298
    assert found == {n: row for n, row in expected.items() if n not in (4, 250)}
    for rows in days:
        order = [(row["symbol"].encode(), row["event_at"]) for row in rows]
        assert order == sorted(order)
        assert {row["event_at"].date() for row in rows} == {rows[0]["session_date"]}


def test_rows_of_several_chains_keep_theirs() -> None:
    one, other = (paged([value_line(n, canonical(trade(n)))]) for n in (1, 2))
    for page in other:
        page["partition"] = 0
    (rows,) = merged(one + other)
    assert [(row["partition"], row["offset"]) for row in rows] == [(3, 1), (0, 2)]


def test_a_page_tells_what_is_in_it_and_another_one_what_is_no_event() -> None:
    weekend = datetime(2013, 3, 2, 15, tzinfo=UTC)
    lines = [
        *(value_line(n, canonical(trade(n, DAY_1))) for n in range(10, 14)),
        value_line(14, trade(14, weekend)),
        line(15, b""),
        b"{broken",
        value_line(16, trade(16, DAY_2) | {"more": 1}),
    ]
    told = paged(lines, covered={CHAIN: 12})

    events = {page["days"][0]: page for page in told if page["kind"]}
    first, second = sorted(events)
    assert second == first + 1
    page = events[first]
    assert (page["lines"], page["fresh"], page["first"], page["last"]) == (4, 2, 10, 13)
    assert numbers(page) == [0, 1, 2, 3]
    assert numbers(events[second]) == [7]
    others = [page for page in told if page["kind"] is None]
    assert sorted(number for page in others for number in numbers(page)) == [4, 5, 6]
    assert {page["rows"] for page in others} == {None}
    assert sum(page["lines"] for page in told) == len(lines)
    (rows,) = [rows for rows in merged(told) if rows[0]["session_date"] == DAY_1.date()]
    assert [row["offset"] for row in rows] == [12, 13]


def test_an_offset_that_comes_again_is_told_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(objects, "_CHUNK_BYTES", 1_500)
    lines = [value_line(n, canonical(trade(n))) for n in range(20)]
    lines.insert(2, value_line(1, canonical(trade(30))))
    lines += [line(3, b""), b"{broken", b"{broken", b""]

    told = paged(lines)

    assert sum(page["repeated"] for page in told) == 2
    assert sum(page["lines"] for page in told) == len(lines)
    assert Counter(n for page in told for n in numbers(page)) == Counter(range(len(lines)))


def test_bars_of_a_year_are_one_page_and_one_of_another_session_is_none() -> None:
    days = ["2012-12-31", "2013-01-02", "2013-02-28"]
    lines = [value_line(n, canonical(bar(day))) for n, day in enumerate(days)]
    lines.append(value_line(3, canonical(bar(session_date="2013-02-27"))))
    told = paged(lines, topic=BATCH)
    found = {page["part"]: numbers(page) for page in told}
    assert found == {42: [0], 43: [1, 2], None: [3]}
    assert {page["kind"] for page in told} == {BARS.name, None}


def test_sessions_are_those_that_the_judge_of_single_lines_finds(
    root_session: SparkSession, tmp_path: Any
) -> None:
    """Midnights, weekends, holidays, and the nights in which the clock is changed."""
    firsts = [date(2013, 3, 8), date(2013, 11, 1), date(2012, 12, 24), date(2012, 12, 29)]
    nights = [day + timedelta(days=n) for day in firsts for n in range(5)]
    nights += [date(2030, 1, 2), date(1990, 1, 2)]
    local = [datetime.combine(day, datetime.min.time(), XNYS.zone) for day in nights]
    steps = [timedelta(0), timedelta(microseconds=-1), timedelta(hours=1), timedelta(hours=-1)]
    moments = [moment.astimezone(UTC) + step for moment in local for step in steps]
    bronze = FolderBronze(tmp_path)
    bronze.send(REALTIME, [trade(n, at) for n, at in enumerate(moments)])
    (path,) = tmp_path.glob("*/*/*/*.zst")
    source = parse.objects(root_session, [f"file://{path}"])

    placed = conform.conform(
        parse.parse(source, MODEL, MODEL), sessions_of(root_session, XNYS), str(XNYS.zone)
    )

    expected = dedupe.events(placed).select("offset", "session_date").collect()
    trades = parse.merged(parse.pages(source, pager()), Merger(TRADES, {}), 2)
    found = trades.select("offset", "session_date").collect()
    assert 20 < len(found) < len(moments)
    assert sorted(found) == sorted(expected)


def test_hashes_are_the_same_for_the_same_ids_and_others_for_others() -> None:
    draw = random.Random(1)
    ids = [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(50_000)]
    ids += [str(uuid.UUID(int=n)) for n in range(50_000)]
    ids += [str(uuid.UUID(int=n << 64)) for n in range(1, 50_000)]
    found = hashes(pa.array(ids))
    assert len(np.unique(found)) == len(ids)
    assert (hashes(pa.array(ids, pa.large_string())) == found).all()
    assert (hashes(pa.array(ids)[77:99]) == found[77:99]).all()
    assert (hashes(pa.array(ids[::-1])) == found[::-1]).all()
    assert len(hashes(pa.array([], pa.string()))) == 0


@pytest.mark.parametrize("ids", [["x"], [str(uuid.uuid4()), "x" * 37], [str(uuid.uuid4()), None]])
def test_what_is_no_uuid_has_no_hash(ids: list[str | None]) -> None:
    with pytest.raises(ValueError, match="36 bytes"):
        hashes(pa.array(ids, pa.string()))


def test_hits_are_the_hashes_that_a_batch_has_too() -> None:
    ids = pa.array([str(uuid.UUID(int=n)) for n in range(100)])
    found = hashes(ids)
    batch_hashes = np.sort(found[[3, 50, 50, 99]])
    known = pa.record_batch([ids[:99]], names=["event_id"])
    hits = [row["hash"] for out in Hits(batch_hashes)([known]) for row in out.to_pylist()]
    assert sorted(hits) == sorted(found[[3, 50]].tolist())
    assert not [out for out in Hits(batch_hashes[:0])([known]) if len(out)]
    strange = pa.record_batch([pa.array(["x", None, ids[3].as_py(), ""])], names=["event_id"])
    assert [row["hash"] for out in Hits(batch_hashes)([strange]) for row in out.to_pylist()] == [
        found[3]
    ]


def test_a_partitioning_that_pages_do_not_know_is_an_error() -> None:
    with pytest.raises(ValueError, match="months"):
        part_of(replace(TRADES, partitioning="months(session_date)"), np.array([1], np.int32))
