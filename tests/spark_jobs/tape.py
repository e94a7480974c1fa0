"""Sessions of messages as a producer fetched them, with all that may happen; and comparisons."""

import random
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from tests.spark_jobs.messages import iso, trade

TOLERANCE = 1e-9
_BESIDES = ("revision", "as_of", "computed_at")


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def session(
    symbol: str, opened: datetime, length: int, seed: int, count: int = 250
) -> list[dict[str, Any]]:
    """Return messages in the order of their fetch.

    Out of order by seconds; some minutes late; copies; corrections, cancellations and corrections
    of these; both auctions; trades before and after hours.
    """
    draw = random.Random(seed)
    closed = opened + minutes(length)
    times = sorted(opened + minutes(draw.uniform(-20, length + 20)) for _ in range(count))
    sent = _trades(draw, symbol, times)
    sent += _changes(draw, symbol, sent[:])
    sent += [
        # Minutes late, but not too late: the clock waits 15.
        (at + minutes(13), trade(1600 + number, at, "441", "1", symbol))
        for number, at in enumerate(times[:30])
    ]
    opening, closing = opened - minutes(0.5), closed + minutes(0.8)
    sent += [
        (opening, trade(1900, opening, "444", "90", symbol, conditions=[OPENING_AUCTION])),
        (closing, trade(1901, closing, "445", "99", symbol, conditions=[CLOSING_AUCTION])),
    ]
    in_order = sorted(sent, key=lambda pair: pair[0])
    return [message | {"fetched_at": iso(fetched)} for fetched, message in in_order]


Sent = tuple[datetime, dict[str, Any]]


def _trades(draw: random.Random, symbol: str, times: list[datetime]) -> list[Sent]:
    price, sent = 440.0, []
    for number, at in enumerate(times):
        price += draw.choice([-0.01, 0.0, 0.01])
        message = trade(number, at, f"{price:.2f}", str(draw.randrange(300)), symbol)
        sent.append((at + timedelta(seconds=draw.uniform(0, 5)), message))
    return sent


def _changes(draw: random.Random, symbol: str, trades: list[Sent]) -> list[Sent]:
    found: list[Sent] = []
    for number in range(1000, 1020):
        at, changed = draw.choice(trades)
        found.append((at + minutes(1), changed))  # sent again
        later = at + minutes(draw.uniform(0, 12))
        action = draw.choice(["correct", "cancel"])
        change = _change(draw, symbol, number, later, action, changed)
        found.append((later, change))
        if number % 3 == 0:
            again = later + minutes(1)
            found.append((again, _change(draw, symbol, number + 100, again, "correct", change)))
    return found


def _change(
    draw: random.Random,
    symbol: str,
    number: int,
    at: datetime,
    action: str,
    changed: dict[str, Any],
) -> dict[str, Any]:
    price = f"{draw.uniform(430, 450):.2f}"
    return trade(number, at, price, "7", symbol, action=action, ref=changed["event_id"])


def by_fetch(*sessions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Merge sessions in the order of their fetch."""
    return sorted(
        (one for each in sessions for one in each), key=lambda one: str(one["fetched_at"])
    )


def assert_equal(streamed: pd.DataFrame, batch: pd.DataFrame) -> None:
    """Compare rows by their index: counts, sums, extremes and flags exactly, moments to 1e-9."""
    assert list(streamed.index) == list(batch.index)
    for name in batch.columns.difference(_BESIDES):
        mine, theirs = streamed[name], batch[name]
        if theirs.dtype.kind == "f":
            pd.testing.assert_series_equal(mine, theirs, rtol=TOLERANCE, atol=0)
        else:
            different = (mine.isna() != theirs.isna()) | (mine.notna() & (mine != theirs))
            assert not different.any(), (name, mine[different], theirs[different])
