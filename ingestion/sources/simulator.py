"""Trades and quotes inside real sessions, simulated and always labelled so.

Each session's trades honour the recorded daily bar (``tape.py``), so that what is computed from
them can be checked against real figures. The clock is simulated: a message is fetched some
milliseconds after its trade, in the session's own year.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final

import numpy as np
from msgspec import to_builtins

from ingestion.clock import rfc3339
from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from ingestion.contracts.identity import TradeIds, observation_id
from ingestion.contracts.records import (
    BarData,
    BarMessage,
    Message,
    TradeData,
    TradeMessage,
)
from ingestion.sources import quotes, tape
from ingestion.sources.daily_bar import CENT, UNIT, DailyBar
from ingestion.sources.profile import Ints
from ingestion.sources.tape import Tape
from ingestion.sources.timestamps import texts

NAME: Final = "simulator"
ODD_LOT: Final = "odd_lot"
_LOT: Final = 100
_BAR_DELAY: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class SimulatorSettings:
    """What a simulation depends on, beside the bars.

    ``volume_fraction`` is the share of the real volume that is traded; an interval of None makes no
    quotes. Where the bars are of a generated market, nobody else sends them: each is given 15
    minutes after its session's close, with its whole volume; and trades have ids of their own.
    """

    seed: int = 7
    volume_fraction: Decimal = Decimal("0.04")
    quote_interval: timedelta | None = timedelta(seconds=60)
    is_generated: bool = False


class Simulator:
    """Trades of the given bars' sessions in order of time, with the quotes polled from them."""

    def __init__(self, bars: Iterable[DailyBar], settings: SimulatorSettings, run_id: str) -> None:
        self._bars = bars
        self._settings = settings
        self._run_id = run_id
        self._made: Counter[str] = Counter()
        self._sessions: list[str] = []

    @property
    def _identity(self) -> str:
        seed = self._settings.seed
        return f"{seed}-generated" if self._settings.is_generated else str(seed)

    @property
    def name(self) -> str:
        return NAME

    def messages(self) -> Iterator[Message]:
        ordered = sorted(self._bars, key=lambda bar: (bar.session.session_date, bar.symbol))
        for day, bars in groupby(ordered, key=lambda bar: bar.session.session_date):
            yield from self._session(day, list(bars))

    def facts(self) -> Mapping[str, object]:
        return {
            "seed": self._settings.seed,
            "volume_fraction": str(self._settings.volume_fraction),
            "sessions": self._sessions,
            "trades": self._made["trades"],
            "quotes": self._made["quotes"],
            **({"bars": self._made["bars"]} if self._settings.is_generated else {}),
            "skipped_bars": self._made["skipped_bars"],
        }

    def _session(self, day: date, bars: list[DailyBar]) -> Iterator[Message]:
        drawn = [
            tape.record(bar, self._settings.seed, self._settings.volume_fraction) for bar in bars
        ]
        tapes = [found for found in drawn if found is not None]
        self._sessions.append(day.isoformat())
        self._made["skipped_bars"] += len(drawn) - len(tapes)
        for kind, message in self._in_order(tapes) if tapes else ():
            self._made[kind] += 1
            yield message
        if self._settings.is_generated:
            self._made["bars"] += len(bars)
            yield from (bar_message(bar, self._run_id) for bar in bars)

    def _in_order(self, tapes: list[Tape]) -> Iterator[tuple[str, Message]]:
        """Merge all streams of a session by time; at the same moment, trades are before quotes."""
        streams = [*map(self._trades, tapes), *map(self._quotes, tapes)]
        lengths = [len(stream.at) for stream in streams]
        source = np.repeat(np.arange(len(streams)), lengths)
        at = np.concatenate([stream.at for stream in streams])
        for number in source[np.argsort(at, kind="stable")].tolist():
            yield streams[number].kind, next(streams[number].messages)

    def _trades(self, found: Tape) -> "_Stream":
        return _Stream("trades", found.at, trades(found, self._identity, self._run_id))

    def _quotes(self, found: Tape) -> "_Stream":
        interval = self._settings.quote_interval
        polls = quotes.moments(found, interval) if interval else found.at[:0]
        return _Stream("quotes", polls, quotes.poll(found, polls, NAME, self._run_id))


@dataclass(frozen=True)
class _Stream:
    """Messages in order of time, made when asked for, and the microsecond of each."""

    kind: str
    at: Ints
    messages: Iterator[Message]


def trades(found: Tape, identity: str, run_id: str) -> Iterator[TradeMessage]:
    """Make the messages of a tape; a trade's number in its session is its ``seq``, from 1."""
    symbol, session = found.bar.symbol, found.bar.session.session_date.isoformat()
    at, fetched_at, price = texts(found.at), texts(found.fetched_at), _price_texts(found.price)
    conditions = _conditions(found.size)
    ids = TradeIds(NAME, identity, symbol, session)
    for index, size in enumerate(found.size.tolist()):
        number = index + 1
        yield TradeMessage(
            event_id=ids.of(number),
            source=NAME,
            simulated=True,
            symbol=symbol,
            event_time=at[index],
            fetched_at=fetched_at[index],
            run_id=run_id,
            data=TradeData(
                price=price[index],
                size=str(size),
                exchange=None,
                conditions=conditions[index],
                seq=number,
            ),
        )


def bar_message(bar: DailyBar, run_id: str) -> BarMessage:
    """Make the message of a session's bar, raw as it was traded."""
    session, schema = bar.session, "bar.v1"
    open_at, fetched_at = rfc3339(session.open_at), rfc3339(session.close_at + _BAR_DELAY)
    data = BarData(
        interval="1d",
        start=open_at,
        session_date=session.session_date.isoformat(),
        open=_price_text(bar.open),
        high=_price_text(bar.high),
        low=_price_text(bar.low),
        close=_price_text(bar.close),
        volume=str(bar.volume),
        adj_close=None,
        currency="USD",
        adjustment="raw",
        as_of=fetched_at,
    )
    return BarMessage(
        event_id=observation_id(NAME, schema, bar.symbol, open_at, to_builtins(data)),
        source=NAME,
        simulated=True,
        symbol=bar.symbol,
        event_time=open_at,
        fetched_at=fetched_at,
        run_id=run_id,
        data=data,
    )


def _price_texts(prices: Ints) -> list[str]:
    """Return decimal texts; a session has few different prices and many trades."""
    values, positions = np.unique(prices, return_inverse=True)
    known = [_price_text(value) for value in values.tolist()]
    return [known[position] for position in positions.tolist()]


def _price_text(millionths: int) -> str:
    if millionths % CENT == 0:
        return f"{Decimal(millionths) / UNIT:.2f}"
    return f"{(Decimal(millionths) / UNIT).normalize():f}"


def _conditions(size: Ints) -> list[list[str]]:
    found = [[ODD_LOT] if shares < _LOT else [] for shares in size.tolist()]
    found[0], found[-1] = [OPENING_AUCTION], [CLOSING_AUCTION]
    return found
