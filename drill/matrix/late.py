"""Trades that arrive in no order, up to two days late, and some from the future."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from ingestion.clock import rfc3339
from ingestion.contracts.identity import trade_id
from ingestion.contracts.records import TradeData, TradeMessage

SOURCE: Final = "drill-late"
START, NOW = datetime(2013, 2, 27, 20, tzinfo=UTC), datetime(2013, 3, 1, 20, tzinfo=UTC)
_OPEN, _CLOSE = timedelta(hours=14, minutes=30), timedelta(hours=21)  # of these three sessions
_SYMBOLS: Final = [f"LATE{number}" for number in range(8)]
_AHEAD: Final = (timedelta(minutes=1), timedelta(hours=3), timedelta(days=1), timedelta(days=400))
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def trades(run_id: str, count: int, draw: random.Random) -> Iterator[tuple[TradeMessage, float]]:
    """Make trades with their lateness in seconds, in no order of time."""
    for number in range(count):
        at = _moment(draw)
        yield _trade(run_id, number, at, draw), (NOW - at).total_seconds()


def future(run_id: str, now: datetime, draw: random.Random) -> Iterator[TradeMessage]:
    """Make trades whose event_time lies ahead of ``now``, up to the last year there is."""
    moments = [*(now + ahead for ahead in _AHEAD), _LAST]
    for number, at in enumerate(moments):
        yield _trade(f"{run_id}-future", number, at, draw)


def _moment(draw: random.Random) -> datetime:
    while True:
        at = START + (NOW - START) * draw.random()
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if midnight + _OPEN <= at < midnight + _CLOSE:
            return at


def _trade(run_id: str, number: int, at: datetime, draw: random.Random) -> TradeMessage:
    return TradeMessage(
        event_id=trade_id(SOURCE, run_id, number),
        source=SOURCE,
        simulated=True,
        symbol=_SYMBOLS[number % len(_SYMBOLS)],
        event_time=rfc3339(at),
        fetched_at=rfc3339(max(at, NOW)),
        run_id=run_id,
        data=TradeData(
            price=f"{draw.randrange(100, 200)}.{draw.randrange(100):02d}",
            size=str(draw.randrange(1, 500)),
            exchange=None,
            conditions=[],
            seq=number + 1,
        ),
    )
