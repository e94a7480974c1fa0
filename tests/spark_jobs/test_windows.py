"""Trailing windows against brute force: gaps, single ticks, exact edges, half days, late data."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from drill.stream import brute_force
from drill.stream.brute_force import Tick
from spark_jobs.jobs.revise import Range
from spark_jobs.schemas import WINDOW_METRICS
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import OPEN, trade

CLOSE = OPEN + timedelta(hours=6, minutes=30)
HALF_DAY = datetime(2012, 11, 23, 14, 30, tzinfo=UTC)
HALF_CLOSE = HALF_DAY + timedelta(hours=3, minutes=30)
TOLERANCE = 1e-9


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def busy(seed: int, opened: datetime, closed: datetime, count: int, level: float) -> list[Tick]:
    draw = random.Random(seed)
    price, found = level, []
    for number in range(count):
        price += draw.choice([-0.01, 0.0, 0.01])
        at = opened + timedelta(
            microseconds=draw.randrange((closed - opened) // timedelta(microseconds=1))
        )
        found.append(Tick(at, number, f"{price:.2f}", str(draw.randrange(500))))
    return found


# Every shape at once: exact edges, the instant before the close, outside hours, equal times.
SHAPES: dict[str, list[Tick]] = {
    "EDGES": [
        Tick(OPEN, 0, "10", "1"),
        Tick(OPEN + minutes(5), 1, "11", "2"),
        Tick(OPEN + minutes(15), 2, "12.5", "0.000001"),
        Tick(OPEN + minutes(60), 3, "9", "5"),
        Tick(CLOSE - timedelta(microseconds=1), 4, "8", "7"),
        Tick(CLOSE, 5, "1000", "9"),
        Tick(OPEN - timedelta(microseconds=1), 6, "2000", "9"),
    ],
    "SINGLE": [Tick(OPEN + minutes(200.5), 0, "33.333333", "3")],
    "GAPS": [
        Tick(OPEN + minutes(m), i, p, "10")
        for i, (m, p) in enumerate(
            [(1, "5"), (2, "5.5"), (90, "6"), (91, "6.25"), (200, "4"), (389, "4.5")]
        )
    ],
    "TIES": [Tick(OPEN + minutes(30), i, p, "1") for i, p in enumerate(["7", "9", "8", "7.5"])],
    "ZERO": [Tick(OPEN + minutes(3), 0, "5", "0"), Tick(OPEN + minutes(4), 1, "6", "0")],
    "CALM": [
        Tick(OPEN + minutes(10 + i / 7), i, f"{1_000_000 + (i % 3) / 100:.2f}", "1")
        for i in range(60)
    ],
    # One price for a quarter of an hour, and another before it in the same hour.
    "FLAT": [
        Tick(OPEN + minutes(n), n, "30.01" if n < 20 else "30.08", "1") for n in range(18, 38)
    ],
    "BUSY": busy(1, OPEN, CLOSE, 1500, 440.0),
}


def send(lake: Lake, ticks: dict[str, list[Tick]], start: int = 0) -> int:
    values = [
        trade(t.seq, t.at, t.price, t.size, symbol)
        for symbol, found in ticks.items()
        for t in found
    ]
    random.Random(5).shuffle(values)
    return lake.send_trades(values, start=start)


def windows(ticks: list[Tick], open_at: datetime, close_at: datetime) -> pd.DataFrame:
    return pd.DataFrame(brute_force.windows(ticks, open_at, close_at))


def measured(lake: Lake, symbol: str, day: date) -> pd.DataFrame:
    rows = lake.spark.table(f"{WINDOW_METRICS.identifier}_latest")
    found = rows.where(f"symbol = '{symbol}' and session_date = date'{day}'").toPandas()
    for name in ("window_end_at", "window_15m_start_at", "window_1h_start_at"):
        found[name] = found[name].dt.tz_localize("UTC")
    return found.sort_values("window_end_at").reset_index(drop=True)


def assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found["window_end_at"]) == list(expected["window_end_at"])
    for name in expected.columns[1:]:
        for end, mine, theirs in zip(
            expected["window_end_at"], found[name], expected[name], strict=True
        ):
            assert same(mine, theirs), (name, end, mine, theirs)


def same(mine: Any, theirs: Any) -> bool:
    if pd.isna(theirs) or pd.isna(mine):
        return bool(pd.isna(theirs) and pd.isna(mine))
    if isinstance(theirs, (pd.Timestamp, bool)):
        return bool(mine == theirs)
    # A sum of decimals is exact; brute force's is a long double.
    return abs(float(mine) - float(theirs)) <= TOLERANCE * abs(float(theirs))


@pytest.mark.cluster
def test_windows_equal_brute_force_in_every_shape_late_data_included(lake: Lake) -> None:
    late = [Tick(OPEN + minutes(100.2), 9_000, "441.5", "250")]
    half = busy(2, HALF_DAY, HALF_CLOSE, 200, 90.0)
    sent = send(lake, SHAPES | {"HALF": [*half, Tick(HALF_CLOSE, 900, "1", "1")]})
    lake.compact()

    summary = lake.windows()

    assert summary.written[WINDOW_METRICS.name] == 78 * len(SHAPES) + 42
    for symbol, ticks in SHAPES.items():
        expected = windows(ticks, OPEN, CLOSE)
        assert_equal(measured(lake, symbol, OPEN.date()), expected)
    assert_equal(measured(lake, "HALF", HALF_DAY.date()), windows(half, HALF_DAY, HALF_CLOSE))

    assert lake.windows().commits == 0
    assert lake.windows(Range(date(2012, 1, 1), date(2013, 12, 31))).commits == 0

    send(lake, {"BUSY": late}, start=sent)
    lake.compact()
    again = lake.windows()

    expected = windows([*SHAPES["BUSY"], *late], OPEN, CLOSE)
    assert_equal(measured(lake, "BUSY", OPEN.date()), expected)
    # One hour of 5-minute ends holds the late trade; the return after it lies in the same hour.
    assert again.written[WINDOW_METRICS.name] in (12, 13)
    revisions = lake.rows(WINDOW_METRICS).where("revision = 2").select("symbol").distinct()
    assert [row[0] for row in revisions.collect()] == ["BUSY"]


def test_cancelled_and_absurd_trades_enter_no_window(lake: Lake) -> None:
    wrong = trade(5, OPEN, "50", "1")
    lake.send_trades(
        [
            trade(0, OPEN, "10", "1"),
            wrong,
            trade(1, OPEN + minutes(1), "99", "5", action="cancel", ref=wrong["event_id"]),
            trade(2, OPEN + minutes(1), "0", "5"),
            trade(3, OPEN + minutes(1), "-4", "5"),
            trade(4, OPEN + minutes(1), "10", "-5"),
        ]
    )
    assert lake.compact().written["trades"] == 6
    lake.windows()

    row = lake.rows(WINDOW_METRICS).orderBy("window_end_at").first()
    assert (row["n_obs_1h"], row["ma_1h"], float(row["volume_sum_1h"])) == (1, 10.0, 1.0)


def test_a_session_without_regular_trades_has_no_rows(lake: Lake) -> None:
    lake.send_trades([trade(0, OPEN - timedelta(hours=2))])
    lake.compact()

    assert lake.windows().written[WINDOW_METRICS.name] == 0
    assert lake.rows(WINDOW_METRICS).count() == 0


@pytest.mark.parametrize("symbols", [("AAPL", "IBM")])
def test_only_touched_sessions_are_computed_again(lake: Lake, symbols: tuple[str, str]) -> None:
    days = [OPEN - timedelta(days=n) for n in range(3)]
    values = [trade(i, day, symbol=s) for s in symbols for i, day in enumerate(days)]
    start = lake.send_trades(values)
    lake.compact()
    lake.windows()
    lake.send_trades([trade(50, days[1] + minutes(3))], start=start)
    lake.compact()

    summary = lake.windows()

    assert summary.read == len(symbols) + 1
    assert summary.written[WINDOW_METRICS.name] == 12
