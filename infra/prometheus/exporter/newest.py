"""Freshness per hop and symbol: the newest event that each stage holds."""

from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

import msgspec
from prometheus_client.core import Metric

from infra.prometheus.exporter.market import SessionClock
from infra.prometheus.exporter.source import gauge, seconds
from ingestion.clock import Clock
from ingestion.contracts.topics import BATCH, QUOTES, REALTIME
from ingestion.instruments import reader

FEEDS: Final = {BATCH: "bars", QUOTES: "quotes", REALTIME: "trades"}
OTHER: Final = "other"
# Labels come from messages: what nobody here knows has one name, or anyone could make any number.
SOURCES: Final = frozenset({"recorded", "simulator", "yahoo", "finnhub", "alphavantage"})
_LABELS: Final = ("stage", "feed", "source", "simulated", "symbol")


class Series(NamedTuple):
    """Whose events: ``simulated`` is true or false, as text."""

    feed: str
    source: str
    simulated: str
    symbol: str


Newest = dict[Series, datetime]


class Message(msgspec.Struct):
    """What of a message's envelope says how fresh it is."""

    source: str
    simulated: bool
    symbol: str
    event_time: datetime


_decoder: Final = msgspec.json.Decoder(Message)


def message_of(value: bytes | None) -> Message | None:
    """Return a record's envelope; None of a record that is no message, which others count."""
    try:
        return None if value is None else _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def series(feed: str, source: str, simulated: bool, symbol: str) -> Series:
    """Return whose events these are, by names that are known."""
    return Series(
        feed,
        source if source in SOURCES else OTHER,
        str(simulated).lower(),
        symbol if symbol in _symbols() else OTHER,
    )


def add(newest: Newest, key: Series, moment: datetime) -> None:
    """Take note of an event."""
    known = newest.get(key)
    if known is None or moment > known:
        newest[key] = moment


class Freshness:
    """Tells how old the newest events of a stage are, by the clock and by the exchange's."""

    def __init__(self, clock: Clock, sessions: SessionClock) -> None:
        self._clock = clock
        self._sessions = sessions

    def metrics(self, stage: str, newest: Newest) -> Iterator[Metric]:
        """Return a stage's metrics of the newest event of each series."""
        now = self._clock.now()
        rows = sorted(newest.items())
        yield gauge(
            "newest_event_timestamp_seconds",
            "When the newest event that a stage holds happened",
            _LABELS,
            [((stage, *key), seconds(moment)) for key, moment in rows],
        )
        yield gauge(
            "newest_event_trading_age_seconds",
            "Regular trading since then: a market that is closed makes nothing older",
            _LABELS,
            [((stage, *key), self._sessions.between(moment, now)) for key, moment in rows],
        )


@cache
def _symbols() -> frozenset[str]:
    return frozenset(
        period.symbol
        for instrument in reader.universe().instruments
        for period in instrument.symbols
    )
