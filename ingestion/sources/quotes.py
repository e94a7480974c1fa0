"""Quotes in Finnhub's field shape, polled from a session's simulated trades.

``c`` last price, ``d`` and ``dp`` its change against the previous close (absolute and in percent
points, four decimals), ``h`` ``l`` ``o`` of the day so far, ``pc`` previous close, ``t`` epoch
second of the last trade: JSON numbers, as the provider sends them.
"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import numpy as np

from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import QuoteMessage
from ingestion.sources.daily_bar import UNIT
from ingestion.sources.profile import Ints
from ingestion.sources.tape import Tape, microseconds
from ingestion.sources.timestamps import texts

SCHEMA = "quote.v1"
_SECOND = 1_000_000
_MILLION = 1_000_000
_ROUND_TRIP = 35_000
_FOUR_DECIMALS = Decimal("0.0001")


def moments(tape: Tape, interval: timedelta) -> Ints:
    """Return when the quotes of a session are polled, in microseconds: at each interval's end.

    A poll before the first trade gives nothing. Without a previous close there is no quote.
    """
    session = tape.bar.session
    step = interval // timedelta(microseconds=1)
    start, end = microseconds(session.open_at), microseconds(session.close_at)
    polls = np.arange(start + step, end + 1, step, dtype=np.int64)
    return polls[polls >= tape.at[0]] if tape.bar.previous_close is not None else polls[:0]


def poll(tape: Tape, polls: Ints, source: str, run_id: str) -> Iterator[QuoteMessage]:
    """Return the quote of each of these `moments`.

    One without a new trade since the last poll repeats the observation, with its event_id.
    """
    close = tape.bar.previous_close
    if close is None:
        return
    last = np.searchsorted(tape.at, polls, side="right") - 1
    highs, lows = np.maximum.accumulate(tape.price), np.minimum.accumulate(tape.price)
    fetched = texts(polls + _ROUND_TRIP)
    seen = texts(tape.at[last] // _SECOND * _SECOND)
    for number, trade in enumerate(last.tolist()):
        data = _fields(tape, trade, int(highs[trade]), int(lows[trade]), close)
        yield QuoteMessage(
            event_id=observation_id(source, SCHEMA, tape.bar.symbol, seen[number], data),
            source=source,
            simulated=True,
            symbol=tape.bar.symbol,
            event_time=seen[number],
            fetched_at=fetched[number],
            run_id=run_id,
            data=data,
        )


def _fields(tape: Tape, trade: int, high: int, low: int, close: int) -> dict[str, float | int]:
    price = int(tape.price[trade])
    percent = (Decimal(100) * (price - close) / close).quantize(_FOUR_DECIMALS)
    return {
        "c": _number(price),
        "d": float((Decimal(price - close) / UNIT).quantize(_FOUR_DECIMALS)),
        "dp": float(percent),
        "h": _number(high),
        "l": _number(low),
        "o": _number(tape.bar.open),
        "pc": _number(close),
        "t": int(tape.at[trade]) // _SECOND,
    }


def _number(millionths: int) -> float:
    return millionths / _MILLION  # of whole numbers: the nearest float
