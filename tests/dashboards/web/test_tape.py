"""The forming minutes against the lake's rules, worked out here from the trades as a whole."""

import random
from datetime import datetime, timedelta
from typing import Any

from dashboards.web.tape import Record, Seen, Tape
from ingestion import calendar
from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from ingestion.contracts.records import TradeMessage
from tests.dashboards.web.trades import CLOSE, OPEN, event_id, record, trade

XNYS = calendar.get()
MINUTE = timedelta(minutes=1)


def played(*messages: TradeMessage) -> Tape:
    tape = Tape(XNYS)
    for offset, message in enumerate(messages):
        tape.take(record(message, offset, 1_000 + offset))
    return tape


def shown(tape: Tape, symbol: str = "AAPL") -> dict[str, Any]:
    found = tape.since(symbol, Seen())
    assert found is not None
    return found[0]


def ohlcv(candle: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(candle[name] for name in ("open", "high", "low", "close", "volume", "n"))


def test_a_minute_forms() -> None:
    tape = played(
        trade(1, OPEN + timedelta(seconds=1), "10", "100"),
        trade(2, OPEN + timedelta(seconds=2), "12.5", "50"),
        trade(3, OPEN + timedelta(seconds=59.999), "9.25", "1"),
        trade(4, OPEN + MINUTE, "11", "7"),
    )
    found = shown(tape)
    first, second = found["candles"]
    assert ohlcv(first) == (10, 12.5, 9.25, 9.25, 151, 3)
    assert ohlcv(second) == (11, 11, 11, 11, 7, 1)
    assert (first["start_s"], first["end_s"]) == (OPEN.timestamp(), OPEN.timestamp() + 60)
    # It may have begun before we looked; the next one was seen from its begin.
    assert (first["is_partial"], second["is_partial"]) == (True, False)
    assert found["last"]["price"] == 11
    assert found["last"]["event_ms"] == int((OPEN + MINUTE).timestamp() * 1000)
    assert found["last"]["kafka_ms"] == 1_003
    assert (found["source"], found["simulated"]) == ("simulator", True)


def test_only_what_is_new_is_told_and_conflated() -> None:
    tape = played(trade(1, OPEN, "10"), trade(2, OPEN + MINUTE, "11"))
    found = tape.since("AAPL", Seen())
    assert found is not None
    _, seen = found
    assert tape.since("AAPL", seen) is None
    for number in (3, 4, 5):
        tape.take(record(trade(number, OPEN + MINUTE, str(number)), number))
    again = tape.since("AAPL", seen)
    assert again is not None
    assert len(again[0]["candles"]) == 1
    assert again[0]["conflated"] == 2
    assert tape.since("MSFT", Seen()) is None


def test_what_does_not_count_in_the_lake_does_not_here() -> None:
    tape = played(
        trade(1, OPEN, "10"),
        trade(1, OPEN, "10"),  # sent again
        trade(2, OPEN, "0"),
        trade(3, OPEN, "-1"),
        trade(4, OPEN, "99", "-5"),
        trade(5, OPEN, "10.0000001"),  # does not fit
        trade(6, OPEN + timedelta(days=3), "99"),  # a Sunday
    )
    tape.take(Record(None, 0, 90, 0))
    tape.take(Record(b"no trade", 0, 91, 0))
    tape.take(Record(record(trade(7, OPEN, "5")).value + b"\n", 0, 92, 0))  # type: ignore[operator]
    [candle] = shown(tape)["candles"]
    assert ohlcv(candle) == (10, 10, 10, 10, 100, 1)
    assert tape.refused == 5


def test_auctions_belong_to_the_first_and_last_minute() -> None:
    tape = played(
        trade(1, OPEN - timedelta(seconds=100), "9", conditions=[OPENING_AUCTION]),
        trade(2, OPEN - timedelta(seconds=100), "8"),
        trade(3, OPEN + timedelta(seconds=5), "10"),
        trade(4, CLOSE - timedelta(seconds=5), "20"),
        trade(5, CLOSE + timedelta(seconds=10), "22"),
        trade(6, CLOSE + timedelta(seconds=48), "21", conditions=[CLOSING_AUCTION]),
    )
    candles = {(one["segment"], one["start_s"]): one for one in shown(tape)["candles"]}
    first, last = OPEN.timestamp(), (CLOSE - MINUTE).timestamp()
    assert ohlcv(candles["regular", first])[:4] == (9, 10, 9, 10)
    assert ohlcv(candles["regular", last])[:4] == (20, 21, 20, 21)
    assert ohlcv(candles["pre", first - 120])[:4] == (8, 8, 8, 8)
    assert ohlcv(candles["post", CLOSE.timestamp()])[:4] == (22, 22, 22, 22)


def test_corrections_and_cancellations() -> None:
    at = OPEN + timedelta(seconds=1)
    later = at + timedelta(seconds=30)
    tape = played(
        trade(1, at, "10"),
        trade(2, at, "50"),
        trade(3, at, "11"),
        trade(4, later, "12", "70", action="correct", ref=2),
        trade(5, later, "1", "1", action="cancel", ref=3),
    )
    found = shown(tape)
    assert ohlcv(found["candles"][0]) == (10, 12, 10, 12, 170, 2)
    assert found["last"]["price"] == 12
    # A correction of the correction, and one that comes before its trade.
    tape.take(
        record(trade(6, later, "13", "1", fetched=later + MINUTE, action="correct", ref=4), 6)
    )
    tape.take(record(trade(7, later, "9", "2", action="correct", ref=8), 7))
    tape.take(record(trade(8, at, "1000"), 8))
    assert ohlcv(shown(tape)["candles"][0]) == (10, 13, 9, 9, 103, 3)


def test_a_late_trade_changes_its_minute_and_not_the_last_price() -> None:
    tape = played(
        trade(1, OPEN, "10"),
        trade(2, OPEN + MINUTE, "11"),
        trade(3, OPEN + timedelta(seconds=9), "7"),
    )
    found = shown(tape)
    assert [ohlcv(one)[:4] for one in found["candles"]] == [(10, 10, 7, 7), (11, 11, 11, 11)]
    assert found["last"]["price"] == 11


def test_a_minute_come_back_to_is_partial() -> None:
    """It was forgotten: of its trades only the late one is known."""
    minutes = [trade(number, OPEN + number * MINUTE, "10") for number in range(8)]
    tape = played(*minutes)
    assert len(shown(tape)["candles"]) == 5
    tape.take(record(trade(20, OPEN + timedelta(seconds=30), "1"), 20))
    candles = shown(tape)["candles"]
    assert candles[0]["start_s"] == OPEN.timestamp()
    assert [one["is_partial"] for one in candles] == [True, False, False, False, False]


def test_real_before_simulated() -> None:
    tape = played(trade(1, OPEN, "10"), trade(2, OPEN, "20", source="finnhub", simulated=False))
    tape.take(record(trade(3, OPEN, "11"), 3))
    found = shown(tape)
    assert (found["source"], found["simulated"], found["last"]["price"]) == ("finnhub", False, 20)
    assert len(found["candles"]) == 1


def brute_force(messages: list[TradeMessage]) -> dict[int, tuple[Any, ...]]:
    """Minutes by their start, from all messages at once; regular hours, no chains."""
    trades = {one.event_id: one for one in reversed(messages) if one.data.action == "new"}
    found: dict[int, list[tuple[datetime, int, float, float]]] = {}
    for one in trades.values():
        price, size = float(one.data.price), float(one.data.size)
        changes = [each for each in messages if each.data.ref == one.event_id]
        if changes:
            # The latest fetch; of one fetch the latest in Kafka.
            latest = max(enumerate(changes), key=lambda item: (item[1].fetched_at, item[0]))[1]
            if latest.data.action == "cancel":
                continue
            price, size = float(latest.data.price), float(latest.data.size)
        at = datetime.fromisoformat(one.event_time)
        start = int(at.timestamp()) // 60 * 60
        found.setdefault(start, []).append((at, one.data.seq, price, size))
    return {start: _bar(sorted(rows)) for start, rows in found.items()}


def _bar(rows: list[tuple[datetime, int, float, float]]) -> tuple[Any, ...]:
    prices = [row[2] for row in rows]
    volume = sum(row[3] for row in rows)
    return (prices[0], max(prices), min(prices), prices[-1], volume, len(rows))


def test_random_histories_equal_brute_force() -> None:
    for seed in range(20):
        draw = random.Random(seed)
        messages: list[TradeMessage] = []
        for number in range(1, 300):
            at = OPEN + timedelta(milliseconds=draw.randrange(4 * 60_000))
            if draw.random() < 0.1 and messages:
                messages.append(draw.choice(messages))
                continue
            changed: dict[str, Any] = {}
            if draw.random() < 0.2 and number > 10:
                changed = {
                    "action": draw.choice(["correct", "cancel"]),
                    "ref": draw.randrange(1, 300),
                }
                at = OPEN + timedelta(minutes=5)
            price = f"{draw.randrange(1, 100_000)}.25"
            messages.append(trade(number, at, price, str(draw.randrange(500)), **changed))
        changing = {one.event_id for one in messages if one.data.action != "new"}
        # Chains of corrections have a test of their own, and are the lake's code.
        messages = [one for one in messages if one.data.ref not in changing]
        candles = shown(played(*messages))["candles"]
        found = {one["start_s"]: ohlcv(one) for one in candles if one["n"]}
        assert found == brute_force(messages), f"seed {seed}"


def test_memory_is_bounded() -> None:
    tape = played(trade(1, OPEN, "10"))
    for number in range(2, 400):
        at = OPEN + number * MINUTE
        if number % 3:
            tape.take(record(trade(number, at, "10"), number))
        else:
            tape.take(record(trade(number, at, "10", action="cancel", ref=number - 1), number))
    [line] = tape._lines["AAPL"].values()
    assert len(line.minutes) == 5
    assert len(line.revisions) <= 5
    assert event_id(398) in next(reversed(line.minutes.values())).trades
