"""What producers send in two or three sessions with everything wrong that can be, seeded.

A generated market through the product's own simulator and faults, every kind of them switched on;
and, made here: splits, a halt over a night, prints outside of regular hours, a closing cross that
is printed after the bell.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ingestion import calendar
from ingestion.calendar import Session
from ingestion.clock import rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.conditions import CLOSING_AUCTION
from ingestion.contracts.identity import observation_id, trade_id
from ingestion.contracts.records import (
    CorporateActionData,
    CorporateActionMessage,
    Message,
    TradeData,
    TradeMessage,
)
from ingestion.sources.daily_bar import CENT, UNIT, DailyBar
from ingestion.sources.faults.faulty import Faulty
from ingestion.sources.faults.kinds import KINDS
from ingestion.sources.faults.truth import Truth
from ingestion.sources.market import Market, made_up
from ingestion.sources.simulator import NAME, Simulator, SimulatorSettings
from ingestion.sources.source import Refused

RATES: Final[Mapping[str, float]] = {
    **{"rename": 0.3, "dst": 0.4, "missed_split": 0.5, "null_ohlc": 0.2, "missing_minute": 0.02},
    **{"zero_quote": 0.05, "stale_quote": 0.05, "price_100x": 0.003, "twin": 0.01},
    **{"correct": 0.01, "bust": 0.01, "duplicate": 0.02, "out_of_order": 0.05, "late": 0.01},
}
AUTUMN: Final = (date(2024, 11, 1), date(2024, 11, 4))
SPRING: Final = (date(2024, 3, 8), date(2024, 3, 11))
HALF_DAY: Final = date(2024, 11, 29)
_RUN: Final = "drill"
_RATIO: Final = 4
# So few shares that a session has about 500 trades.
_FRACTION: Final = Decimal("0.000001")
_QUOTES: Final = timedelta(minutes=10)
# From 50 minutes before the close to 75 after the next open, New York's Friday 15:10 to 10:45.
_HALT_BEFORE: Final = timedelta(minutes=50)
_HALT_AFTER: Final = timedelta(minutes=75)
_LAST_PRINT: Final = time(19, 59, 30)
# Numbers above those of a session's own trades, below those that faults add.
_FIRST_SEQ: Final = 900_000


class Record(NamedTuple):
    """One record for Kafka."""

    topic: str
    key: str
    value: bytes


@dataclass(frozen=True)
class Sent:
    """Records in the order in which they are sent, and how often each fault struck."""

    records: list[Record]
    faults: Mapping[str, int]


def sent(seed: int, symbols: int, days: Sequence[date], folder: Path) -> Sent:
    """Return the first of a seed's markets in which every kind of fault strikes.

    Args:
        seed: of market, trades and faults.
        symbols: how many there are; the first one is halted.
        days: sessions, in order; splits are on the second.
        folder: takes the faults' own record.
    """
    for number in count():
        source = _Source(1_000 * seed + number, symbols, days)
        truth = Truth(folder / "faults.jsonl")
        faulty = Faulty(source, RATES, source.seed, calendar.get(), truth)
        messages = [m for m in faulty.messages() if not isinstance(m, Refused)]
        # Of the splits some are told, too.
        if all(truth.counts[kind] for kind in KINDS) and truth.counts["missed_split"] < symbols:
            return Sent([_record(message) for message in messages], dict(truth.counts))
    raise AssertionError


def _record(message: Message) -> Record:
    return Record(envelope.topic_of(message), message.symbol, envelope.encode(message))


class _Source:
    """The market before it goes wrong."""

    name = NAME

    def __init__(self, seed: int, symbols: int, days: Sequence[date]) -> None:
        self.seed = seed
        self._days = list(days)
        exchange = calendar.get()
        self._zone = exchange.zone
        self._symbols = made_up(symbols)
        market = Market(seed, self._symbols, exchange)
        bars = market.bars(self._days[0], self._days[-1])
        self._bars = [self._split(b) for b in bars if b.session.session_date in self._days]
        self._halt = self._halted()

    def facts(self) -> Mapping[str, object]:
        return {}

    def messages(self) -> Iterator[Message]:
        settings = SimulatorSettings(self.seed, _FRACTION, _QUOTES, is_generated=True)
        for day in self._days:
            bars = [bar for bar in self._bars if bar.session.session_date == day]
            if day == self._days[1]:
                yield from (_split_message(bar.symbol, bar.session) for bar in bars)
            extended = [trade for bar in bars for trade in self._extended(bar)]
            open_at = rfc3339(bars[0].session.open_at)
            yield from (trade for trade in extended if trade.event_time < open_at)
            simulated = Simulator(bars, settings, _RUN).messages()
            yield from (message for message in simulated if not self._is_halted(message))
            yield from (trade for trade in extended if trade.event_time >= open_at)

    def _split(self, bar: DailyBar) -> DailyBar:
        if bar.session.session_date < self._days[1]:
            return bar
        names = ("open", "high", "low", "close")
        prices = {n: max(round(getattr(bar, n) / _RATIO / CENT), 1) * CENT for n in names}
        return replace(bar, **prices)

    def _halted(self) -> tuple[str, str]:
        first, second = (calendar.get().session(day) for day in self._days[:2])
        if first is None or second is None:
            raise ValueError(f"expected sessions, found {self._days[:2]}")
        begin, end = first.close_at - _HALT_BEFORE, second.open_at + _HALT_AFTER
        return rfc3339(begin), rfc3339(end)

    def _is_halted(self, message: Message) -> bool:
        is_trade = isinstance(message, TradeMessage) and message.symbol == self._symbols[0]
        return is_trade and self._halt[0] <= message.event_time < self._halt[1]

    def _extended(self, bar: DailyBar) -> Iterator[TradeMessage]:
        """Make prints outside of regular hours; the last is of UTC's next day in winter."""
        opened, closed = bar.session.open_at, bar.session.close_at
        evening = datetime.combine(bar.session.session_date, _LAST_PRINT, self._zone)
        moments = [
            *(opened - timedelta(minutes=before) for before in (90, 60, 1)),
            *(closed + timedelta(seconds=after) for after in (48, 49, 7_200)),
            evening,
        ]
        for number, at in enumerate(moments):
            price = bar.open if at < opened else bar.close
            is_cross = at == closed + timedelta(seconds=48)
            found = _trade(self.seed, bar, number, at, price, [CLOSING_AUCTION] * is_cross)
            if not self._is_halted(found):
                yield found


def _trade(
    seed: int, bar: DailyBar, number: int, at: datetime, price: int, conditions: list[str]
) -> TradeMessage:
    day = bar.session.session_date.isoformat()
    return TradeMessage(
        event_id=trade_id(NAME, seed, bar.symbol, day, "extended", number),
        source=NAME,
        simulated=True,
        symbol=bar.symbol,
        event_time=rfc3339(at),
        fetched_at=rfc3339(at + timedelta(milliseconds=80)),
        run_id=_RUN,
        data=TradeData(
            price=f"{Decimal(price) / UNIT:.2f}",
            size=str(100 + number),
            exchange=None,
            conditions=conditions,
            seq=_FIRST_SEQ + number,
        ),
    )


def _split_message(symbol: str, session: Session) -> CorporateActionMessage:
    at = rfc3339(session.open_at)
    data = CorporateActionData(
        type="split",
        ex_date=session.session_date.isoformat(),
        ratio=str(_RATIO),
        amount=None,
        currency="USD",
        as_of=at,
    )
    fields = msgspec.to_builtins(data)
    return CorporateActionMessage(
        event_id=observation_id(NAME, "corporate_action.v1", symbol, at, fields),
        source=NAME,
        simulated=True,
        symbol=symbol,
        event_time=at,
        fetched_at=at,
        run_id=_RUN,
        data=data,
    )
