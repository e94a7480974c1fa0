"""Compaction over a folder lake: every record once, with the right type, place and reason."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product

import pyarrow.parquet as pq
import pytest

from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.errors import ChainError, LakeError
from spark_jobs import commit, positions
from spark_jobs.iceberg import LakeTable
from spark_jobs.jobs import compact
from spark_jobs.positions import Chain
from spark_jobs.schemas import (
    BARS,
    COMPACTED,
    CORPORATE_ACTIONS,
    POSITIONS,
    REJECTS,
    TRADES,
    Table,
)
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.folder_bronze import GENERATION, FolderBronze, line, value_line
from tests.spark_jobs.messages import OPEN, action, bar, iso, trade


def covered(lake: Lake, table: Table) -> dict[Chain, int]:
    text = LakeTable(lake.spark, table.identifier).last_property(POSITIONS)
    return positions.decode(text)


def reasons(lake: Lake) -> dict[int, str]:
    rows = lake.rows(REJECTS).select("offset", "reason").collect()
    return {row["offset"]: row["reason"] for row in rows}


def test_events_arrive_typed_with_their_session_and_transport(lake: Lake) -> None:
    late = trade(1, OPEN + timedelta(hours=3), price="441.123456", size="0.5", conditions=["1"])
    lake.send_batch([bar(), action(ratio="1.5")])
    lake.send_trades([trade(0), late], partition=3)

    summary = lake.compact()

    assert summary.read == 4
    assert summary.written == {"bars": 1, "corporate_actions": 1, "trades": 2, "rejects": 0}
    found = lake.rows(BARS).first()
    assert found["symbol"] == "AAPL"
    assert found["adj_close"] == Decimal("437.123456789012345")
    assert (found["open"], found["volume"]) == (Decimal("444.05"), 11518400)
    assert found["session_date"] == date(2013, 2, 28)
    assert found["event_at"].replace(tzinfo=UTC) == OPEN
    transport = (found["topic"], found["generation"], found["partition"], found["offset"])
    assert transport == (BATCH, GENERATION, 0, 0)
    assert lake.rows(CORPORATE_ACTIONS).first()["ratio"] == Decimal("1.5")
    odd = lake.rows(TRADES).where("seq = 1").first()
    assert (odd["price"], odd["size"], odd["partition"]) == (
        Decimal("441.123456"),
        Decimal("0.5"),
        3,
    )
    assert odd["conditions"] == ["1"]


@pytest.mark.cluster
def test_a_symbol_and_a_session_survive_partitioning(lake: Lake) -> None:
    symbols = ["AAPL", "BRK.B", "^GSPC", "MSFT"]
    sessions = ["2012-12-31", "2013-01-02", "2013-02-28"]
    lake.send_batch([bar(day, symbol) for day in sessions for symbol in symbols])

    lake.compact()

    rows = lake.rows(BARS).select("symbol", "session_date").collect()
    expected = {(symbol, date.fromisoformat(day)) for symbol in symbols for day in sessions}
    assert len(rows) == len(expected)
    assert {(row["symbol"], row["session_date"]) for row in rows} == expected


@pytest.mark.cluster
def test_the_session_is_that_of_the_event_not_of_its_arrival(lake: Lake) -> None:
    evening = datetime(2013, 2, 28, 0, 30, tzinfo=UTC)  # 19:30 of the 27th in New York
    weekend = datetime(2013, 3, 2, 15, tzinfo=UTC)
    lake.send_trades([trade(0, evening), trade(1, weekend)])

    lake.compact()

    assert lake.rows(TRADES).first()["session_date"] == date(2013, 2, 27)
    assert reasons(lake) == {1: "no_session"}
    partitions = lake.spark.sql(f"select partition from {TRADES.identifier}.partitions").collect()
    assert [row[0]["session_date"] for row in partitions] == [date(2013, 2, 27)]


def test_files_lie_by_session_sorted_by_symbol_and_time_and_late_trades_reach_theirs(
    lake: Lake,
) -> None:
    symbols = ("MSFT", "AAPL", "IBM")
    days = [OPEN - timedelta(days=n) for n in (0, 1, 2)]
    moments = [day + timedelta(minutes=7 * n % 60) for n in range(8) for day in days]
    new = [
        trade(number, at, symbol=symbol)
        for number, (symbol, at) in enumerate(product(symbols, moments))
    ]
    sent = lake.send_trades(new)
    lake.compact()
    # A day later a trade of the first session arrives, before one of the next session.
    late = [trade(900, days[2], symbol="AAPL"), trade(901, OPEN + timedelta(days=1))]
    lake.send_trades(late, start=sent)

    assert lake.compact().files == 2

    found = {}
    for path in lake.state.glob("warehouse/silver/trades/data/*/*.parquet"):
        rows = pq.ParquetFile(path).read(["symbol", "event_at", "session_date", "seq"]).to_pylist()
        order = [(row["symbol"], row["event_at"]) for row in rows]
        assert order == sorted(order)
        (day,) = {row["session_date"] for row in rows}
        assert path.parent.name == f"session_date={day}"
        found.setdefault(day, []).append([row["seq"] for row in rows])
    assert {day: sorted(map(len, files)) for day, files in found.items()} == {
        date(2013, 2, 26): [1, 24],
        date(2013, 2, 27): [24],
        date(2013, 2, 28): [24],
        date(2013, 3, 1): [1],
    }
    assert [900] in found[date(2013, 2, 26)]
    properties = lake.spark.sql(f"show tblproperties {TRADES.identifier}").collect()
    assert ("write.target-file-size-bytes", str(128 * 2**20)) in [tuple(row) for row in properties]


BAD = {
    "invalid_json": line(0, b',"value_b64":"bm90IGpzb24="'),
    "not_an_object": line(1, b""),
    "not_an_object ": value_line(2, None),
    "not_an_object  ": value_line(3, [1]),
    "unknown_schema": value_line(4, bar() | {"schema": "bar.v9"}),
    "wrong_topic": value_line(5, trade()),
    "contract": value_line(6, bar(open=444.05)),
    "number_range": value_line(7, bar(open="123456789012345678901")),
    "number_range ": value_line(8, bar(volume="12.5")),
    "number_range  ": value_line(9, bar(volume="99999999999999999999")),
    "number_range   ": value_line(10, bar(high="9999999999999999999999999999")),
    "no_session": value_line(11, bar("2013-03-02")),
    "contract ": value_line(12, bar(session_date="2013-02-27")),
    "contract  ": value_line(13, bar(as_of="2013-02-30T00:00:00Z")),
    "contract   ": value_line(14, bar(open="NaN")),
    "invalid_json ": b"{broken",
}


def test_bad_records_become_rejects_and_stop_nothing(lake: Lake) -> None:
    lines = [*BAD.values(), value_line(16, bar())]
    lake.bronze.land(BATCH, lines, 0)

    summary = lake.compact()

    assert summary.read == len(lines)
    assert summary.written["bars"] == 1
    assert summary.rejected == Counter(name.strip() for name in BAD)
    found = lake.rows(REJECTS).orderBy("offset").collect()
    assert {row["raw"] for row in found} == {item.decode() for item in BAD.values()}
    assert all(row["detail"] for row in found)
    by_offset = reasons(lake)
    assert by_offset.pop(None) == "invalid_json"
    assert list(by_offset.values()) == [name.strip() for name in list(BAD)[:-1]]


def test_carriage_returns_and_unicode_separators_are_data(lake: Lake) -> None:
    value = trade(0, exchange="a\u2028b\u0085c")
    lake.bronze.land(
        REALTIME, [value_line(0, value).replace(b'"run_id":"r1"', b'\r"run_id":"r1"')], 0
    )

    assert lake.compact().written["trades"] == 1
    assert lake.rows(TRADES).first()["exchange"] == "a\u2028b\u0085c"


def test_the_first_kept_wins_and_resent_records_are_counted(lake: Lake) -> None:
    first = trade(0)
    lines = [value_line(0, first, timestamp=2_000), value_line(1, first, timestamp=3_000)]
    lake.bronze.land(REALTIME, lines, 0)
    lake.bronze.land(REALTIME, [value_line(0, first, timestamp=1_000)], 0, partition=1)

    summary = lake.compact()

    assert summary.duplicates == 2
    kept = lake.rows(TRADES).collect()
    assert [(row["partition"], row["offset"]) for row in kept] == [(1, 0)]
    assert [row["raw"] for row in lake.rows(REJECTS).collect()] == [None, None]


def test_what_the_table_has_wins_over_an_earlier_timestamp(lake: Lake) -> None:
    lake.bronze.land(REALTIME, [value_line(0, trade(0), timestamp=5_000)], 0)
    lake.compact()
    lake.bronze.land(REALTIME, [value_line(1, trade(0), timestamp=1_000)], 1)

    assert lake.compact().duplicates == 1
    assert [row["offset"] for row in lake.rows(TRADES).collect()] == [0]


def test_a_known_id_with_other_data_is_a_conflict_and_keeps_its_payload(lake: Lake) -> None:
    lake.send_batch([bar()])
    lake.compact()
    other = bar() | {"data": bar(close="999")["data"]}
    refetched = bar(as_of="2013-03-01T21:15:00.000000Z") | {"run_id": "r2"}
    lake.send_batch([other, refetched], start=1)

    summary = lake.compact()

    assert (summary.conflicts, summary.duplicates) == (1, 1)
    row = lake.rows(REJECTS).where("reason = 'conflict'").first()
    assert '"999"' in row["raw"]
    assert row["event_id"] == other["event_id"]
    assert lake.rows(BARS).count() == 1


def test_a_microsecond_is_other_data(lake: Lake) -> None:
    first = trade(0)
    again = [first | {"event_time": iso(OPEN + timedelta(microseconds=n))} for n in (7, 0)]
    sent = lake.send_trades([first])
    lake.compact()
    sent = lake.send_trades(again, start=sent)
    lake.send_trades([trade(1), trade(1) | {"event_time": again[0]["event_time"]}], start=sent)

    summary = lake.compact()

    assert summary.rejected == {"conflict": 2, "duplicate": 1}
    kept = lake.rows(REJECTS).where("raw is not null").orderBy("offset").collect()
    assert [json.loads(row["raw"])["offset"] for row in kept] == [1, 4]


_LOOKS = 20


class GrowingBronze(FolderBronze):
    """Landing goes on: whenever somebody looks, there is one more object."""

    landed = 0

    def folders(self, prefix: str) -> list[str]:
        if prefix == f"{REALTIME}/":
            assert self.landed < _LOOKS, "the run follows landing for ever"
            self.landed = self.send(REALTIME, [trade(self.landed)], start=self.landed)
        return super().folders(prefix)


def test_a_run_ends_while_landing_goes_on(lake: Lake) -> None:
    growing = GrowingBronze(lake.bronze.root)
    context = replace(lake.context, bronze=growing)

    first = compact.run(context)
    began = growing.landed
    second = compact.run(context)

    assert first.read == 1
    assert second.read == began + 1 - first.read
    assert lake.rows(TRADES).count() == first.read + second.read


def test_a_backlog_is_taken_in_several_commits(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact, "MAX_RECORDS", 2)
    sent = 0
    for values in ([trade(0), trade(1)], [trade(2)], [trade(3), trade(0), trade(4)]):
        sent = lake.send_trades(values, start=sent)

    summary = lake.compact()

    # Both tables of the topic three times; an object that is larger than the bound goes alone.
    assert (summary.commits, summary.read, summary.objects) == (6, 6, 3)
    assert sorted(row["seq"] for row in lake.rows(TRADES).collect()) == [0, 1, 2, 3, 4]
    assert reasons(lake) == {4: "duplicate"}
    assert covered(lake, TRADES) == {Chain(REALTIME, GENERATION, 0): sent}


def test_running_again_changes_nothing(lake: Lake) -> None:
    lake.send_batch([bar(), bar()])
    lake.send_trades([trade(0)])
    lake.compact()
    heads = lake.heads_of(COMPACTED)

    assert lake.compact().commits == 0
    assert lake.heads_of(COMPACTED) == heads


def test_the_same_records_sent_again_add_only_counted_duplicates(lake: Lake) -> None:
    values = [trade(i) for i in range(20)]
    lake.send_trades(values)
    lake.compact()
    before = sorted(map(str, lake.rows(TRADES).collect()))
    lake.send_trades(values, start=20)

    summary = lake.compact()

    assert summary.duplicates == len(values)
    assert sorted(map(str, lake.rows(TRADES).collect())) == before


def test_every_table_of_a_topic_carries_its_positions(lake: Lake) -> None:
    lake.send_batch([bar()])
    lake.compact()
    chain = Chain(BATCH, GENERATION, 0)
    tables = (BARS, CORPORATE_ACTIONS, REJECTS)
    assert [covered(lake, table) for table in tables] == [{chain: 1}] * 3
    assert covered(lake, TRADES) == {}

    lake.send_trades([trade(0)], partition=2)
    lake.compact()

    assert covered(lake, REJECTS) == {chain: 1, Chain(REALTIME, GENERATION, 2): 1}
    assert covered(lake, BARS) == {chain: 1}


def test_a_gap_object_moves_the_position(lake: Lake) -> None:
    lake.bronze.land(BATCH, [], 0, end=10)
    lake.compact()
    assert covered(lake, BARS) == {Chain(BATCH, GENERATION, 0): 10}
    lake.send_batch([bar()], start=10)
    assert lake.compact().written["bars"] == 1


def test_a_missing_object_fails_and_leaves_the_lake(lake: Lake) -> None:
    lake.send_batch([bar()])
    lake.compact()
    heads = lake.heads_of(COMPACTED)
    lake.send_batch([bar("2013-02-27")], start=5)

    with pytest.raises(ChainError, match="go on at 1"):
        lake.compact()
    assert lake.heads_of(COMPACTED) == heads


def test_a_line_less_than_the_metadata_counts_fails_and_leaves_the_lake(lake: Lake) -> None:
    path = lake.bronze.land(BATCH, [value_line(0, bar())], 0, end=2)
    meta = path.with_name(f".{path.name}.meta")
    meta.write_text(meta.read_text().replace('"count": "1"', '"count": "2"'))

    with pytest.raises(LakeError, match="counts 2 records, read 1"):
        lake.compact()
    assert lake.rows(BARS).count() == 0


def test_an_offset_twice_in_bronze_fails(lake: Lake) -> None:
    lake.bronze.land(BATCH, [value_line(0, bar()), value_line(0, bar("2013-02-27"))], 0)

    with pytest.raises(LakeError, match="occurs twice"):
        lake.compact()


@pytest.mark.parametrize("survivors", [1, 2])
def test_a_crash_between_two_tables_commits_heals(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    lake.send_batch([bar(), bar(), action(), bar(open="x")])
    publish, published = commit.Staged.publish, []

    def dies(staged: commit.Staged) -> None:
        if len(published) == survivors:
            raise RuntimeError("killed")
        published.append(staged.spec.name)
        publish(staged)

    monkeypatch.setattr(commit.Staged, "publish", dies)
    with pytest.raises(RuntimeError, match="killed"):
        lake.compact()
    monkeypatch.undo()
    assert lake.rows(BARS).count() == 1
    assert lake.rows(REJECTS).count() == 0
    # An earlier timestamp must not unseat the row that is already in the table.
    lake.bronze.land(BATCH, [value_line(0, bar(), timestamp=1)], 0, partition=1)

    lake.compact()

    assert [(r["partition"], r["offset"]) for r in lake.rows(BARS).collect()] == [(0, 0)]
    assert lake.rows(CORPORATE_ACTIONS).count() == 1
    found = lake.rows(REJECTS).select("partition", "offset", "reason").collect()
    assert sorted(tuple(row) for row in found) == [
        (0, 1, "duplicate"),
        (0, 3, "contract"),
        (1, 0, "duplicate"),
    ]
    assert lake.compact().commits == 0


def rewrite_trades(lake: Lake) -> None:
    lake.spark.sql(
        "call lake.system.rewrite_data_files(table => 'silver.trades', "
        "options => map('rewrite-all', 'true'))"
    ).collect()


def test_positions_outlive_compaction_and_expiry(lake: Lake) -> None:
    end = {Chain(REALTIME, GENERATION, 0): 2}
    for start in range(2):
        lake.send_trades([trade(start)], start=start)
        lake.compact()
    lake.spark.sql(f"alter table {TRADES.identifier} create tag covered")
    rewrite_trades(lake)
    assert covered(lake, TRADES) == end
    # The head's parent goes: only the tag leads to the positions now.
    rewrite_trades(lake)
    lake.spark.sql(
        "call lake.system.expire_snapshots(table => 'silver.trades', retain_last => 1, "
        "older_than => timestamp'2099-01-01 00:00:00')"
    ).collect()
    assert covered(lake, TRADES) == end
    lake.send_trades([trade(9)], start=2)

    assert lake.compact().written["trades"] == 1
    assert lake.rows(TRADES).count() == 3


def test_positions_that_went_back_double_nothing(lake: Lake) -> None:
    lake.send_trades([trade(0)])
    lake.compact()
    LakeTable(lake.spark, TRADES.identifier).append_nothing({POSITIONS: "{}"})

    with pytest.raises(LakeError, match="positions went back"):
        lake.compact()
    assert lake.rows(TRADES).count() == 1


def test_a_failed_run_leaves_no_branch(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.send_batch([bar()])
    monkeypatch.setattr(commit.Staged, "publish", lambda _: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        lake.compact()
    refs = lake.spark.sql(f"select name from {BARS.identifier}.refs").collect()
    assert [row[0] for row in refs] == ["main"]


def test_an_iso_time_is_kept_to_the_microsecond(lake: Lake) -> None:
    at = OPEN + timedelta(microseconds=1)
    lake.send_trades([trade(0, at)])
    lake.compact()
    assert iso(lake.rows(TRADES).first()["event_at"].replace(tzinfo=UTC)) == iso(at)
