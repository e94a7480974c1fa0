"""Each rule by name, against scores computed once more, and the job over a lake."""

import statistics
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from spark_jobs.schemas import ANOMALIES
from spark_jobs.transforms.scores import Trailing
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import OPEN, action, bar, iso, trade

CLOSE = OPEN + timedelta(hours=6, minutes=30)
DAY, BEFORE = "2013-02-28", "2013-02-27"
Message = dict[str, Any]
Flag = tuple[str, str, str]


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def calm(symbol: str, price: float = 10.0, count: int = 60) -> list[Message]:
    """A trade every five minutes or so, between two prices."""
    return [
        trade(n, OPEN + minutes(6 * n + 1), f"{price + (n % 2) / 100:.2f}", "100", symbol)
        for n in range(count)
    ]


def flags(lake: Lake) -> dict[Flag, tuple[float, float]]:
    rows = lake.spark.table(f"{ANOMALIES.identifier}_latest").collect()
    return {(r["rule"], r["symbol"], r["subject"]): (r["value"], r["threshold"]) for r in rows}


def ids(messages: Iterable[Message]) -> list[str]:
    return [message["event_id"] for message in messages]


def test_each_rule_flags_what_it_is_for_and_nothing_else(lake: Lake) -> None:
    odd = trade(500, OPEN + minutes(200.5), "1000", "100", "PRICE")
    early = trade(501, OPEN + minutes(20), "1000", "100", "PRICE")  # too few trades before it
    late = trade(500, OPEN + minutes(200), "10", "100", "STALE")
    late["fetched_at"] = iso(OPEN + minutes(216))
    future = trade(501, OPEN + minutes(201), "10", "100", "STALE")
    future["fetched_at"] = iso(OPEN + minutes(199))
    ranged = [
        trade(500 + i, CLOSE - minutes(1), p, "1", "RANGE") for i, p in enumerate(["9.98", "10.11"])
    ]
    after = trade(510, CLOSE + minutes(5), "10.5", "1", "RANGE")  # the day's bar is regular hours
    loud = trade(500, OPEN + minutes(203), "10", "90000", "VOLUME")
    lake.send_trades(
        [
            *calm("PRICE"),
            odd,
            early,
            *calm("STALE"),
            late,
            future,
            *calm("RANGE"),
            *ranged,
            after,
            *calm("VOLUME"),
            loud,
            trade(511, CLOSE - minutes(1), "10", "90000", "VOLUME"),  # an auction's is usual
            *calm("MISSED", 2.5),
            *calm("TOLD", 2.5),
        ]
    )
    prices = {"open": "10", "high": "10.1", "low": "9.99", "close": "10"}
    lake.send_batch(
        [
            bar(DAY, "RANGE", **prices),
            bar(DAY, "PRICE", **prices, adjustment="split"),  # on another basis than its trades
            *(bar(BEFORE, symbol, **prices) for symbol in ("PRICE", "MISSED", "TOLD")),
            action(DAY, "TOLD", ratio="4"),
        ]
    )
    lake.compact()

    summary = lake.anomalies()

    found = flags(lake)
    assert found.keys() == {
        ("trade_price", "PRICE", odd["event_id"]),
        ("trade_stale", "STALE", late["event_id"]),
        ("trade_stale", "STALE", future["event_id"]),
        *(("trade_range", "RANGE", event_id) for event_id in ids(ranged)),
        ("window_volume", "VOLUME", iso(OPEN + minutes(205))[:19] + "Z"),
        ("session_jump", "MISSED", DAY),
    }
    assert found["trade_stale", "STALE", late["event_id"]] == (960, 900)
    assert found["trade_stale", "STALE", future["event_id"]] == (-120, -60)
    assert [found["trade_range", "RANGE", i] for i in ids(ranged)] == [(9.98, 9.99), (10.11, 10.1)]
    assert found["session_jump", "MISSED", DAY][0] == pytest.approx(-0.7495)
    score, threshold = found["trade_price", "PRICE", odd["event_id"]]
    assert (score, threshold) == (pytest.approx((1000 - 10.01) / (1.4826 * 0.01)), 25)
    assert summary.written[ANOMALIES.name] == len(found)
    assert lake.anomalies().commits == 0


def test_an_anomaly_comes_and_goes_with_what_it_is_about(lake: Lake) -> None:
    odd = trade(500, OPEN + minutes(300), "1000", "1")
    sent = lake.send_trades([*calm("AAPL", 445), odd])
    lake.compact()
    lake.anomalies()
    mine = ("trade_price", "AAPL", odd["event_id"])
    assert flags(lake).keys() == {mine}

    # Bars alone are news, for their own session and for the one after.
    told = lake.send_batch([bar(DAY), bar(BEFORE, close="200", low="190")])
    lake.compact()
    lake.anomalies()
    out = ("trade_range", "AAPL", odd["event_id"])
    jump = ("session_jump", "AAPL", DAY)
    assert flags(lake).keys() == {mine, out, jump}

    bust = trade(501, OPEN + minutes(310), "1", "1", action="cancel", ref=odd["event_id"])
    lake.send_trades([bust], start=sent)
    lake.send_batch([action(DAY, ratio="0.5")], start=told)
    lake.compact()
    lake.anomalies()

    assert flags(lake) == {}
    rows = lake.rows(ANOMALIES).where("value is null").collect()
    assert sorted((row["rule"], row["revision"]) for row in rows) == [
        *(("session_jump", 2), ("trade_price", 2), ("trade_range", 2)),
    ]


def test_scores_equal_the_plain_way() -> None:
    draw = np.random.default_rng(3)
    values = np.round(100 + draw.standard_normal(500).cumsum() / 10, 1)
    values[400:460] = 90  # a spread of nothing
    trailing = Trailing(last=50, fewest=20, floor=0.01, relative_floor=0.0005)

    medians, scores = trailing.of(values)

    assert np.isnan(scores[:20]).all()
    for number in range(20, len(values)):
        before = values[max(number - 50, 0) : number].tolist()
        median = statistics.median(before)
        spread = 1.4826 * statistics.median(abs(x - median) for x in before)
        least = 0.01 + 0.0005 * abs(median)
        assert medians[number] == pytest.approx(median, rel=1e-12)
        expected = (values[number] - median) / max(spread, least)
        assert scores[number] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_values_have_no_score(count: int) -> None:
    _, scores = Trailing(last=4, fewest=5).of(np.ones(count))

    assert len(scores) == count
    assert np.isnan(scores).all()
