"""Corrections and cancellations against brute force, whatever the order in which they come."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from drill.stream import brute_force
from spark_jobs.schemas import TRADES
from spark_jobs.transforms.effective import effective
from spark_jobs.transforms.roots import roots
from tests.spark_jobs.messages import OPEN, event_id, iso, trade

Message = dict[str, Any]
DAY = OPEN.date()
UNKNOWN = event_id("never sent")


def change(
    symbol: str, number: int, action: str, ref: str | None, fetched_s: float, price: str = "1"
) -> Message:
    found = trade(number, OPEN, price, str(number), symbol, action=action, ref=ref)
    return found | {"fetched_at": iso(OPEN + timedelta(seconds=fetched_s))}


def drawn(symbol: str, seed: int) -> list[Message]:
    """Trades and changes of them and of each other, unknown ones and circles among them."""
    draw = random.Random(seed)
    messages = [trade(i, OPEN + timedelta(seconds=i), f"{10 + i}", "5", symbol) for i in range(5)]
    numbers = range(100, 112)
    ids = [trade(number, symbol=symbol)["event_id"] for number in numbers]
    known = [*(message["event_id"] for message in messages), *ids, UNKNOWN, None]
    fetches = draw.sample(range(1000), len(numbers))
    for number, fetched_s in zip(numbers, fetches, strict=True):
        action, price = draw.choice(["correct", "correct", "cancel"]), str(draw.randrange(1, 90))
        messages.append(change(symbol, number, action, draw.choice(known), fetched_s, price))
    return messages


def frame(spark: SparkSession, messages: list[Message]) -> DataFrame:
    """``silver.trades`` of messages, in Kafka's order."""
    return spark.createDataFrame([_row(m, i) for i, m in enumerate(messages)], TRADES.ddl)


def _row(message: Message, offset: int, session_date: date = DAY) -> tuple[Any, ...]:
    data = message["data"]
    at, fetched_at = (
        datetime.fromisoformat(message[name]) for name in ("event_time", "fetched_at")
    )
    values = message | data | {"price": Decimal(data["price"]), "size": Decimal(data["size"])}
    place = {"topic": "t", "generation": "g", "partition": 0, "offset": offset}
    moments = {"event_at": at, "fetched_at": fetched_at, "compacted_at": OPEN}
    kafka_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=offset)
    values |= place | moments | {"session_date": session_date, "kafka_timestamp": kafka_at}
    return tuple(values[name] for name in TRADES.columns)


def stands(found: DataFrame) -> dict[str, list[tuple[Any, ...]]]:
    by_symbol = defaultdict(list)
    for row in found.collect():
        at = row["event_at"].astimezone(UTC)
        by_symbol[row["symbol"]].append((at, row["seq"], row["price"], row["size"]))
    return {symbol: sorted(rows) for symbol, rows in by_symbol.items()}


def expected(messages: list[Message]) -> list[tuple[Any, ...]]:
    return [(p.at, p.seq, p.price, p.size) for p in brute_force.standing(messages)]


def test_changes_in_any_order_give_what_brute_force_gives(root_session: SparkSession) -> None:
    sent: dict[str, list[Message]] = {}
    for seed in range(40):
        for order in range(3):
            symbol = f"S{seed}.{order}"
            sent[symbol] = drawn(symbol, seed)
            random.Random(f"{symbol} order").shuffle(sent[symbol])
    everything = [message for messages in sent.values() for message in messages]

    found = stands(effective(frame(root_session, everything)))

    for symbol, messages in sent.items():
        assert found.get(symbol, []) == expected(messages), symbol
    for seed in range(40):
        first, *others = (found.get(f"S{seed}.{order}") for order in range(3))
        assert others == [first, first], seed
    assert len({len(rows) for rows in found.values()}) > 2  # some cancelled, some not


def test_each_rule_by_name(root_session: SparkSession) -> None:
    first, second, third = (trade(n, symbol="A")["event_id"] for n in (100, 101, 102))
    ids = [trade(n, symbol="A")["event_id"] for n in range(6)]
    messages = [
        *(trade(n, OPEN, "10", "5", "A", conditions=["x"]) for n in range(6)),
        change("A", 100, "correct", ids[0], 10, "11"),
        change("A", 101, "correct", first, 20, "12"),  # of the correction
        change("A", 102, "correct", ids[0], 15, "13"),  # of the trade, fetched between the two
        change("A", 103, "cancel", ids[1], 10),
        change("A", 104, "cancel", ids[2], 10),
        change("A", 105, "correct", ids[2], 20, "14"),  # after its cancellation
        change("A", 106, "correct", ids[3], 10, "15"),
        change("A", 107, "correct", ids[3], 10, "16"),  # at the same time: Kafka's order
        change("A", 108, "cancel", None, 10),
        change("A", 109, "correct", trade(110, symbol="A")["event_id"], 10, "17"),
        change("A", 110, "correct", trade(109, symbol="A")["event_id"], 10, "18"),  # a circle
        change("A", 111, "cancel", UNKNOWN, 10),
        change("B", 112, "cancel", ids[4], 10),  # another symbol's trade
    ]

    found = effective(frame(root_session, messages)).orderBy("seq").collect()

    assert [(row["seq"], int(row["price"]), int(row["size"])) for row in found] == [
        *((0, 12, 101), (2, 14, 105), (3, 16, 107), (4, 10, 5), (5, 10, 5)),
    ]
    assert {row["action"] for row in found} == {"new"}
    assert {tuple(row["conditions"]) for row in found} == {("x",)}
    fetched = [(row["fetched_at"].astimezone(UTC) - OPEN).total_seconds() for row in found]
    assert fetched == [20, 20, 10, 0, 0]
    assert {second, third}.isdisjoint(row["event_id"] for row in found)


def test_a_change_counts_in_its_trade_s_session_and_seven_days_after_it(
    root_session: SparkSession,
) -> None:
    """No run reads further: what counted beyond would depend on which sessions were asked for."""
    stamped = {"0": 0, "1": 7, "2": 8, "3": -1}
    rows = []
    for number, (symbol, days) in enumerate(stamped.items()):
        sold = trade(number, OPEN, "10", "5", symbol)
        fix = change(symbol, 100 + number, "correct", sold["event_id"], 10, "11")
        rows += [_row(sold, number), _row(fix, 100 + number, DAY + timedelta(days=days))]
    # One that counts is not hidden by a later one that does not.
    both = trade(9, OPEN, "10", "5", "9")
    fixes = [change("9", 200 + n, "correct", both["event_id"], n, f"{20 + n}") for n in range(2)]
    rows += [_row(both, 9), _row(fixes[0], 200), _row(fixes[1], 201, DAY + timedelta(days=8))]

    found = effective(root_session.createDataFrame(rows, TRADES.ddl)).collect()

    prices = {row["symbol"]: int(row["price"]) for row in found}
    assert prices == {"0": 11, "1": 11, "2": 10, "3": 10, "9": 20}


def test_a_chain_of_any_length_ends_at_its_trade() -> None:
    refs = {str(n): str(n + 1) for n in range(5_000)}

    assert set(roots(refs).values()) == {"5000"}
    assert set(roots(refs | {"4999": "17"}).values()) == {None}
