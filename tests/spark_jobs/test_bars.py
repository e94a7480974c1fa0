"""Bars against brute force: auctions, half days, clock changes, a split, a halt, late changes."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
from pyspark.sql import Row

from drill.stream import brute_force
from drill.stream.brute_force import Bar
from spark_jobs.jobs.revise import Range
from spark_jobs.schemas import TRADE_BARS, WINDOW_METRICS
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import OPEN, iso, trade

CLOSE = OPEN + timedelta(hours=6, minutes=30)
TOLERANCE = 1e-9
OPENING, CLOSING = ["opening_auction"], ["odd_lot", "closing_auction"]
HALT = "2024-11-01T19:10Z 2024-11-04T15:45Z"
Message = dict[str, Any]
Key = tuple[str, str, datetime]


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def hours(day: str) -> tuple[datetime, datetime]:
    """Opening and close as New York has them, from a table of this test's own."""
    opening, closing = {
        "2014-06-06": ("13:30", "20:00"),
        "2014-06-09": ("13:30", "20:00"),
        "2020-08-28": ("13:30", "20:00"),
        "2020-08-31": ("13:30", "20:00"),
        "2024-03-08": ("14:30", "21:00"),
        "2024-03-11": ("13:30", "20:00"),
        "2024-11-01": ("13:30", "20:00"),
        "2024-11-04": ("14:30", "21:00"),
        "2024-11-29": ("14:30", "18:00"),
        "2024-12-24": ("14:30", "18:00"),
        "2013-02-28": ("14:30", "21:00"),
    }[day]
    found = (datetime.fromisoformat(f"{day}T{time}:00+00:00") for time in (opening, closing))
    first, last = found
    return first, last


def busy(
    symbol: str, day: str, count: int, level: float, *, first: int = 0, quiet: str = ""
) -> list[Message]:
    """Trades from 90 minutes before the open to two hours after the close, without ``quiet``."""
    draw = random.Random(f"{symbol} {day}")
    open_at, close_at = hours(day)
    span = (close_at - open_at + minutes(210)) // timedelta(milliseconds=1)
    start, end = (datetime.fromisoformat(t) for t in quiet.split()) if quiet else (CLOSE, CLOSE)
    found, price = [], level
    for number in range(first, first + count):
        price = round(price + draw.choice([-0.01, 0.0, 0.01]), 2)
        at = open_at - minutes(90) + timedelta(milliseconds=draw.randrange(span))
        if not start <= at < end:
            found.append(trade(number, at, f"{price:.2f}", str(draw.randrange(500)), symbol))
    return found


# The closing cross is printed seconds to minutes after the bell; other late prints are after hours.
SHAPES: dict[str, list[Message]] = {
    "AUCTIONS": [
        trade(0, OPEN - seconds(0.5), "10", "900", "AUCTIONS", conditions=OPENING),
        trade(1, OPEN - seconds(0.4), "30", "1", "AUCTIONS"),
        trade(2, OPEN, "11", "1", "AUCTIONS"),
        trade(3, CLOSE - seconds(200), "12", "1", "AUCTIONS", conditions=CLOSING),
        trade(4, CLOSE + seconds(47), "40", "1", "AUCTIONS"),
        trade(5, CLOSE + seconds(48), "13", "5000", "AUCTIONS", conditions=CLOSING),
        trade(6, CLOSE + seconds(120), "14", "70", "AUCTIONS", conditions=CLOSING),
        trade(7, CLOSE + seconds(121), "50", "1", "AUCTIONS", conditions=CLOSING),
        trade(8, OPEN - seconds(121), "60", "1", "AUCTIONS", conditions=OPENING),
    ],
    "ONLYCLOSE": [trade(0, CLOSE + seconds(1), "9", "5", "ONLYCLOSE", conditions=CLOSING)],
    "EDGES": [
        trade(i, at, f"{10 + i}", f"{i}.000001", "EDGES")
        for i, at in enumerate(
            [
                OPEN - minutes(60),
                OPEN - minutes(60) - timedelta(microseconds=1),
                OPEN,
                OPEN + minutes(5) - timedelta(microseconds=1),
                OPEN + minutes(5),
                CLOSE - timedelta(microseconds=1),
                CLOSE,
                CLOSE + minutes(60),
            ]
        )
    ],
    "TIES": [
        trade(i, OPEN + minutes(30), p, "1", "TIES") for i, p in enumerate(["7", "9", "8", "7.5"])
    ],
    "ZERO": [trade(i, OPEN + minutes(3 + i), "5", "0", "ZERO") for i in range(2)],
    "ABSURD": [
        trade(0, OPEN, "0", "5", "ABSURD"),
        trade(1, OPEN, "-4", "5", "ABSURD"),
        trade(2, OPEN, "4", "-5", "ABSURD"),
    ],
    "DEAR": [
        trade(i, OPEN + seconds(i * 40), f"{1_000_000 + (i % 3) / 100:.2f}", "3", "DEAR")
        for i in range(90)
    ],
    "BUSY": [
        *busy("BUSY", "2013-02-28", 1200, 440.0),
        trade(40_000, CLOSE + seconds(30), "500", "90000", "BUSY", conditions=CLOSING),
    ],
    # Half days; the weekends on which the clock changes; splits (4 for 1, 7 for 1); a halt from
    # 15:10 in New York on a Friday over the weekend of the clock change to 10:45 on Monday.
    "HALF": [
        *busy("HALF", "2024-11-29", 150, 90.0),
        *busy("HALF", "2024-12-24", 150, 95.0, first=1000),
    ],
    "SPRING": [
        *busy("SPRING", "2024-03-08", 150, 20.0),
        *busy("SPRING", "2024-03-11", 150, 21.0, first=1000),
    ],
    "AAPL": [
        *busy("AAPL", "2014-06-06", 120, 645.57),
        *busy("AAPL", "2014-06-09", 120, 92.70, first=1000),
        *busy("AAPL", "2020-08-28", 120, 499.23, first=2000),
        *busy("AAPL", "2020-08-31", 120, 127.58, first=3000),
    ],
    "HALTED": [
        *busy("HALTED", "2024-11-01", 200, 8.0, quiet=HALT),
        *busy("HALTED", "2024-11-04", 200, 5.0, first=1000, quiet=HALT),
    ],
}  # fmt: skip


def changes(symbol: str, messages: list[Message], count: int) -> list[Message]:
    """Corrections and cancellations of trades and of one another, fetched in another order."""
    draw = random.Random(f"{symbol} changes")
    ids = [message["event_id"] for message in messages]
    found = []
    for number in range(50_000, 50_000 + count):
        action = draw.choice(["correct", "correct", "cancel"])
        price, size = f"{draw.randrange(43_000, 45_000) / 100:.2f}", str(draw.randrange(1, 900))
        at = OPEN + minutes(draw.randrange(300))
        made = trade(number, at, price, size, symbol, action=action, ref=draw.choice(ids))
        ids.append(made["event_id"])
        found.append(made | {"fetched_at": iso(CLOSE + seconds(draw.random() * 1e4))})
    return found


def shuffled(messages: list[Message]) -> list[Message]:
    return random.Random(5).sample(messages, len(messages))


def by_session(messages: list[Message]) -> dict[str, list[Message]]:
    """Messages of one symbol by the date of their session, which is UTC's for all of these."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message["event_time"][:10], []).append(message)
    return found


def expected(messages: list[Message]) -> dict[Key, Bar]:
    found: dict[Key, Bar] = {}
    for day, some in by_session(messages).items():
        found |= brute_force.bars(brute_force.standing(some), *hours(day))
    return found


def measured(lake: Lake) -> dict[str, dict[Key, Row]]:
    found: dict[str, dict[Key, Row]] = {}
    for row in lake.spark.table(f"{TRADE_BARS.identifier}_latest").collect():
        key = row["interval"], row["segment"], row["start_at"].astimezone(UTC)
        found.setdefault(row["symbol"], {})[key] = row
    return found


def assert_equal(found: dict[Key, Row], wanted: dict[Key, Bar], symbol: str) -> None:
    assert found.keys() == wanted.keys(), symbol
    for key, bar in wanted.items():
        row = found[key]
        mine = [row[name] for name in ("open", "high", "low", "close", "volume", "n_trades")]
        assert mine == [*bar[1:6], bar.n], (symbol, key)
        assert row["end_at"].astimezone(UTC) == bar.end, (symbol, key)
        if bar.vwap is None:
            assert row["vwap"] is None, (symbol, key)
        else:
            error = abs(row["vwap"] - float(bar.vwap))
            assert error <= TOLERANCE * float(bar.vwap), (symbol, key, row["vwap"], bar.vwap)


def assert_rolled_up(found: dict[Key, Row], symbol: str) -> None:
    """Each longer bar is exactly the sum of the 1-minute bars inside it."""
    ones = [row for key, row in found.items() if key[0] == "1m"]
    for (interval, segment, _), row in found.items():
        inside = sorted(
            (
                one
                for one in ones
                if one["segment"] == segment and row["start_at"] <= one["start_at"] < row["end_at"]
            ),
            key=lambda one: one["start_at"],
        )
        rolled = (
            *(inside[0]["open"], max(one["high"] for one in inside)),
            *(min(one["low"] for one in inside), inside[-1]["close"]),
            *(sum(one["volume"] for one in inside), sum(one["n_trades"] for one in inside)),
        )
        whole = tuple(row[n] for n in ("open", "high", "low", "close", "volume", "n_trades"))
        assert rolled == whole, (symbol, interval, row["start_at"])


def windows(lake: Lake) -> dict[tuple[str, str], pd.DataFrame]:
    """The current windows by symbol and session."""
    found = lake.spark.table(f"{WINDOW_METRICS.identifier}_latest").toPandas()
    found["window_end_at"] = found["window_end_at"].dt.tz_localize("UTC")
    ordered = found.sort_values("window_end_at")
    return {
        (symbol, day.isoformat()): rows.reset_index(drop=True)
        for (symbol, day), rows in ordered.groupby(["symbol", "session_date"])
    }


def test_bars_equal_brute_force_in_every_shape(lake: Lake) -> None:
    lake.send_trades(shuffled([m for messages in SHAPES.values() for m in messages]))
    lake.compact()

    summary = lake.bars()

    found = measured(lake)
    assert found.keys() == SHAPES.keys() - {"ABSURD"}
    for symbol, rows in found.items():
        assert_equal(rows, expected(SHAPES[symbol]), symbol)
        assert_rolled_up(rows, symbol)
    assert summary.written[TRADE_BARS.name] == sum(map(len, found.values()))
    assert lake.bars().commits == 0
    assert lake.bars(Range(date(2012, 1, 1), date(2024, 12, 31))).commits == 0
    # Means of bars pass over those without a trade, and take the closing auction in.
    lake.windows()
    mine = windows(lake)
    for symbol in ("HALTED", "AUCTIONS", "HALF", "SPRING"):
        for day, messages in by_session(SHAPES[symbol]).items():
            _assert_period_means(mine[symbol, day], symbol, day, messages)


def test_late_trades_and_changes_in_any_order_equal_a_full_recompute(lake: Lake) -> None:
    trades = SHAPES["BUSY"]
    messages = shuffled([*trades, *changes("BUSY", trades, 200)])
    lonely = trade(70_000, OPEN - minutes(300), "440", "5", "BUSY")
    bust = trade(70_001, OPEN, "1", "1", "BUSY", action="cancel", ref=lonely["event_id"])
    gone = trade(0, OPEN + minutes(9), "7", "5", "GONE")
    end = trade(1, CLOSE, "7", "5", "GONE", action="cancel", ref=gone["event_id"])
    first, second = [*messages[::2], lonely, gone], [*messages[1::2], bust, end]
    sent = lake.send_trades(first)
    lake.compact()
    lake.bars()
    lake.windows()
    assert "GONE" in measured(lake)
    assert_equal(measured(lake)["BUSY"], expected(first[:-1]), "first half")
    lake.send_trades(second, start=sent)
    lake.compact()

    lake.bars()
    lake.windows()

    everything = [*first[:-1], *second[:-1]]
    found, wanted = measured(lake), expected(everything)
    assert_equal(found["BUSY"], wanted, "BUSY")
    assert_rolled_up(found["BUSY"], "BUSY")
    assert "GONE" not in found
    whole = Range(OPEN.date(), OPEN.date())
    assert lake.bars(whole).commits == lake.windows(whole).commits == 0
    current = windows(lake)
    _assert_windows(current["BUSY", "2013-02-28"], everything, wanted)
    # What has lost all its trades says so in a revision of its own.
    rows = lake.rows(TRADE_BARS).where("n_trades = 0").collect()
    assert {(row["symbol"], row["open"], row["volume"], row["revision"]) for row in rows} >= {
        ("GONE", None, 0, 2)
    }
    empty = current["GONE", "2013-02-28"]
    assert len(empty) == 78
    assert set(empty["n_obs_1h"]) == {0}
    assert empty["ma_15m"].isna().all()


def test_changes_stamped_in_later_sessions_reach_their_trade_in_any_order(lake: Lake) -> None:
    def chain(symbol: str) -> list[Message]:
        made = trade(0, OPEN, "10", "5", symbol)
        on_friday = OPEN + timedelta(days=1)
        first = trade(1, on_friday, "9", "5", symbol, action="correct", ref=made["event_id"])
        on_monday = OPEN + timedelta(days=4)
        then = trade(2, on_monday, "8", "5", symbol, action="correct", ref=first["event_id"])
        return [made, first, then]

    forward, backward = chain("FORWARD"), reversed(chain("BACKWARD"))
    waves = zip(forward, backward, strict=True)
    sent, seen = 0, []
    for wave in waves:
        sent = lake.send_trades(list(wave), start=sent)
        lake.compact()
        lake.bars()
        found = measured(lake)
        seen.append(
            {symbol: int(rows["1d", "regular", OPEN]["open"]) for symbol, rows in found.items()}
        )

    assert seen == [{"FORWARD": 10}, {"FORWARD": 9}, {"FORWARD": 8, "BACKWARD": 8}]


def _assert_windows(mine: pd.DataFrame, messages: list[Message], bars: dict[Key, Bar]) -> None:
    ticks = [item.tick for item in brute_force.standing(messages)]
    theirs = pd.DataFrame(brute_force.windows(ticks, OPEN, CLOSE))
    ends = [end.to_pydatetime() for end in theirs["window_end_at"]]
    for n in (5, 15, 30):
        theirs[f"ma_{n}_periods"] = brute_force.period_means(bars, ends, n)
    assert list(mine["window_end_at"]) == list(theirs["window_end_at"])
    for name in ("n_obs_15m", "ma_15m", "vwap_1h", "volatility_1h", "return_volatility_15m"):
        _assert_close(mine[name], theirs[name], name)
    for n in (5, 15, 30):
        _assert_close(mine[f"ma_{n}_periods"], theirs[f"ma_{n}_periods"], f"{n} periods")
    assert mine["ma_30_periods"].isna().sum() == 29


def _assert_period_means(
    mine: pd.DataFrame, symbol: str, day: str, messages: list[Message]
) -> None:
    ends = [end.to_pydatetime() for end in mine["window_end_at"]]
    bars = brute_force.bars(brute_force.standing(messages), *hours(day))
    for n in (5, 15, 30):
        theirs = pd.Series(brute_force.period_means(bars, ends, n))
        _assert_close(mine[f"ma_{n}_periods"], theirs, f"{symbol} {day} {n}")


def _assert_close(mine: pd.Series, theirs: pd.Series, name: str) -> None:
    for number, (ours, other) in enumerate(zip(mine, theirs, strict=True)):
        assert pd.isna(ours) == pd.isna(other), (name, number)
        if not pd.isna(other):
            assert abs(ours - float(other)) <= TOLERANCE * abs(float(other)), (name, number)
