"""What the drill of the stream judges by: figures worked out by hand, and what it must see."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drill.stream import content, market
from drill.stream.brute_force import Tick, windows
from drill.stream.expected import HOURS, expected, hours, in_time
from drill.stream.judge import differences
from drill.stream.market import Sent
from ingestion import calendar
from ingestion.contracts.topics import REALTIME
from ingestion.sources.faults.kinds import KINDS

OPEN = datetime(2024, 11, 4, 14, 30, tzinfo=UTC)
LATENESS = timedelta(minutes=15)


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def trade(
    number: int,
    at: datetime,
    price: str,
    size: str = "1",
    fetched: datetime | None = None,
    **data: Any,
) -> bytes:
    return msgspec.json.encode(
        {
            **{"schema": "trade.v1", "event_id": f"e{number}", "source": "simulator"},
            **{"symbol": "A", "event_time": at.isoformat()},
            "fetched_at": (fetched or at).isoformat(),
            "data": {"price": price, "size": size, "conditions": [], "seq": number, **data},
        }
    )


def test_a_window_by_hand() -> None:
    ticks = [
        Tick(OPEN, 0, "1", "100"),
        Tick(OPEN + minutes(6), 1, "2", "1"),
        Tick(OPEN + minutes(6), 2, "4", "2"),
        Tick(OPEN + minutes(20), 3, "5", "0"),
    ]
    rows = {row["window_end_at"] - OPEN: row for row in windows(ticks, OPEN, OPEN + minutes(390))}
    assert len(rows) == 78
    row = rows[minutes(20)]  # [5, 20): the second and third trade
    assert (row["window_15m_start_at"], row["n_obs_15m"]) == (OPEN + minutes(5), 2)
    assert (row["ma_15m"], row["volatility_15m"]) == (3.0, pytest.approx(2**0.5, rel=1e-15))
    assert (row["volume_sum_15m"], row["vwap_15m"]) == (3, pytest.approx(10 / 3, rel=1e-15))
    # Both returns are ln 2, the first one against the trade before the window.
    assert row["return_volatility_15m"] == 0.0
    assert (row["coverage_15m"], row["is_partial_15m"], row["is_partial_1h"]) == (
        1 / 15,
        False,
        True,
    )
    last = rows[minutes(25)]
    assert (last["n_obs_15m"], last["vwap_15m"], last["volatility_15m"]) == (1, None, None)
    assert rows[minutes(300)]["ma_1h"] is None


def test_the_hours_are_the_exchange_s() -> None:
    for day in HOURS:
        session = calendar.get().session(date.fromisoformat(day))
        assert session is not None
        assert hours(day) == (session.open_at, session.close_at)


def test_what_is_late_by_hand() -> None:
    clock = OPEN + minutes(30)
    first = [
        *(trade(n, OPEN + minutes(n), "10") for n in (0, 14, 15)),
        trade(20, OPEN + minutes(20), "11", fetched=clock),
    ]
    second = [
        trade(1, OPEN + minutes(14.5), "12"),  # its minute ended 15 minutes before the clock
        trade(2, OPEN + minutes(15.5), "13"),  # its minute did not
        trade(0, OPEN, "10"),
        trade(20, OPEN + minutes(20), "11", fetched=clock),
        trade(3, clock, "9", action="cancel", ref="e14"),
        trade(4, clock, "8", action="correct", ref="e2"),
    ]
    third = [trade(50, OPEN + minutes(50), "14")]
    cut = [[(0, one) for one in some] for some in (first, second, third)]

    found, left_out = in_time(cut, LATENESS)

    assert left_out == {"late": 2, "duplicate": 1, "unmatched": 1}
    bars = {key[-1] - OPEN: row for key, row in content.of_minutes(found.bars).items()}
    counted = {start / minutes(1): row["n_trades"] for start, row in bars.items()}
    assert counted == {0: 1, 14: 1, 15: 2, 20: 1, 50: 1}
    assert (bars[minutes(15)]["open"], bars[minutes(15)]["close"]) == (Decimal(10), Decimal(8))
    assert [bars[minutes(n)]["is_final"] for n in (20, 50)] == [True, False]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return market.sent(4, 2, market.SPRING, tmp_path_factory.mktemp("market"))


def test_every_fault_strikes_and_a_seed_makes_the_same_again(sent: Sent, tmp_path: Path) -> None:
    assert sent.faults.keys() == KINDS.keys()
    assert min(sent.faults.values()) > 0
    assert market.sent(4, 2, market.SPRING, tmp_path) == sent
    values = [record.value for record in sent.records]
    found = expected(values, LATENESS)
    assert found.duplicates > 0
    assert {rule for *_, rule, _ in found.anomalies} >= {"trade_price", "trade_stale"}


def test_the_halt_the_evening_and_the_cross_after_the_bell_are_there(sent: Sent) -> None:
    trades = [msgspec.json.decode(r.value) for r in sent.records if r.topic == REALTIME]
    halted = [t["event_time"] for t in trades if t["symbol"] == "SIM0001"]
    # The clock was put forward: opening and close are an hour earlier on Monday.
    assert not [at for at in halted if "2024-03-08T20:10" <= at < "2024-03-11T14:45"]
    evening = [t for t in trades if t["event_time"] == "2024-03-09T00:59:30.000000Z"]
    assert {t["symbol"] for t in evening} == {"SIM0002"}
    crosses = [t for t in trades if t["data"]["conditions"] == ["closing_auction"]]
    assert [t for t in crosses if t["event_time"][11:19] in ("21:00:48", "20:00:48")]


KEY, ROW = ("A", 1), {"n": 1, "mean": 2.0, "at": OPEN, "price": Decimal("1.5"), "gone": None}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({KEY: ROW | {"revision": 7}}, None),
        ({KEY: ROW | {"mean": 2.0 + 1e-9}}, None),
        ({KEY: ROW | {"price": Decimal("1.500000")}}, None),
        ({KEY: ROW | {"mean": 2.0 + 4e-9}}, "1 values differ"),
        ({KEY: ROW | {"mean": None}}, "1 values differ"),
        ({KEY: ROW | {"gone": 0.0}}, "1 values differ"),
        ({KEY: ROW | {"n": 2, "price": Decimal("1.500001")}}, "2 values differ"),
        ({}, "1 rows missing"),
        ({KEY: ROW, ("B", 1): ROW}, "1 rows too many"),
    ],
)
def test_the_judge_sees_what_differs(found: Any, said: str | None) -> None:
    told = differences("t", found, {KEY: ROW})
    assert len(told) == (said is not None)
    assert said is None or told[0].startswith(f"t: {said}")


def test_a_table_is_its_highest_revisions_with_something_left() -> None:
    rows = [
        {"k": 1, "revision": 2, "n_trades": 4},
        {"k": 1, "revision": 1, "n_trades": 9},
        {"k": 2, "revision": 1, "n_trades": 3},
        {"k": 2, "revision": 2, "n_trades": 0},
    ]
    assert content.current(rows, ("k",)) == {(1,): rows[0]}
    assert content.current([{"k": 1, "revision": 1, "value": None}], ("k",)) == {}


def test_the_stream_is_compared_with_the_batch_in_all_but_the_run_s_own() -> None:
    windows, bars = content.STREAM
    key = ("A", "s", OPEN.date(), "1m", "regular", OPEN)
    row = {"n": 1, "revision": 3, "as_of": OPEN, "computed_at": OPEN}
    batch = {name: {} for name in content.BATCH} | {"metrics.trade_bars": {key: row}}
    same = {windows: {}, bars: {key: row | {"revision": 9, "computed_at": None}}}
    assert content.disagreements(batch | same) == []
    assert len(content.disagreements(batch | {windows: {}, bars: {key: row | {"n": 2}}})) == 1
    assert len(content.disagreements(batch | {windows: {}, bars: {}})) == 1
