"""Messages altered as bad data is: each function returns another message, or None where it cannot.

What a fault alters is no longer what was recorded: it is labelled ``simulated``. An observation
(bar, quote, action) with other data is another event; a trade is known by its place in its stream
and keeps its id.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ingestion.clock import rfc3339
from ingestion.contracts.identity import observation_id, trade_id
from ingestion.contracts.records import (
    BarData,
    BarMessage,
    Message,
    QuoteMessage,
    TradeMessage,
    schema_name,
)

_UNIT_ERROR: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# What Finnhub answers with HTTP 200 for a symbol that it does not know.
ZERO_QUOTE: Final = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
# Trades that a fault adds are numbered beyond every real session's.
ADDED_SEQ: Final = 1_000_000_000


def shifted(text: str, by: timedelta) -> str:
    """Return a timestamp moved."""
    return rfc3339(datetime.fromisoformat(text) + by)


def fetched_later(message: Message, by: timedelta) -> Message:
    """Return the message as it is when it arrives later: nothing that the provider gave changes."""
    return replace(message, fetched_at=shifted(message.fetched_at, by))


def renamed(message: Message, symbol: str) -> Message:
    """Return the message under another symbol."""
    return _altered(message, symbol=symbol)


def moved(message: Message, by: timedelta) -> Message:
    """Return the message with all of the provider's times moved, and ours kept."""
    data: Any = message.data
    if isinstance(message, QuoteMessage):
        data = {**message.data, "t": message.data["t"] + by // timedelta(seconds=1)}
    elif isinstance(message, BarMessage):
        data = replace(message.data, start=shifted(message.data.start, by))
    return _altered(message, event_time=shifted(message.event_time, by), data=data)


def without_prices(message: BarMessage) -> Message:
    """Return a bar whose prices are missing and whose volume is not."""
    data = replace(message.data, open=None, high=None, low=None, close=None, adj_close=None)
    return _altered(message, data=data)


def zeroed(message: QuoteMessage) -> Message:
    """Return the answer for an unknown symbol; its time is the epoch, as its ``t`` says."""
    return _altered(message, event_time=rfc3339(_EPOCH), data=dict(ZERO_QUOTE))


def served_again(old: QuoteMessage, instead_of: QuoteMessage) -> QuoteMessage:
    """Return an old observation, fetched when another was expected: the same event again."""
    return replace(old, fetched_at=instead_of.fetched_at, run_id=instead_of.run_id)


def in_another_unit(message: Message) -> Message | None:
    """Return the message with every price a hundred times what it is, consistent in itself."""
    if isinstance(message, TradeMessage):
        return _altered(message, data=replace(message.data, price=_times(message.data.price)))
    if isinstance(message, QuoteMessage):
        return _altered(message, data=_quote_times(message.data))
    if isinstance(message, BarMessage):
        return _altered(message, data=_bar_times(message.data))
    return None


def twin(trade: TradeMessage, number: int) -> TradeMessage:
    """Return a trade at the same time, price and size that is another event."""
    return _added(trade, "twin", number)


def correction(trade: TradeMessage, number: int, cents: int, by: timedelta) -> TradeMessage:
    """Return a later message that gives a trade another price, ``cents`` away and above zero."""
    price = Decimal(trade.data.price) + Decimal(cents) / 100
    if price <= 0:
        price = Decimal(trade.data.price) + Decimal(abs(cents)) / 100
    added = _later(_added(trade, "correct", number), by)
    return replace(
        added,
        data=replace(added.data, price=f"{price:f}", action="correct", ref=trade.event_id),
    )


def cancellation(trade: TradeMessage, number: int, by: timedelta) -> TradeMessage:
    """Return a later message that takes a trade back."""
    added = _later(_added(trade, "bust", number), by)
    return replace(added, data=replace(added.data, action="cancel", ref=trade.event_id))


def _added(trade: TradeMessage, kind: str, number: int) -> TradeMessage:
    return replace(
        trade,
        event_id=trade_id(trade.source, trade.event_id, kind),
        simulated=True,
        data=replace(trade.data, seq=ADDED_SEQ + number),
    )


def _later(trade: TradeMessage, by: timedelta) -> TradeMessage:
    event_time, fetched_at = shifted(trade.event_time, by), shifted(trade.fetched_at, by)
    return replace(trade, event_time=event_time, fetched_at=fetched_at)


def _altered(message: Message, **changes: Any) -> Message:  # noqa: ANN401 - fields of several types
    found = replace(message, simulated=True, **changes)
    if isinstance(found, TradeMessage):
        return found
    data = msgspec.to_builtins(found.data)
    schema = schema_name(type(message))
    event_id = observation_id(found.source, schema, found.symbol, found.event_time, data)
    return replace(found, event_id=event_id)


def _times(text: str) -> str:
    return f"{Decimal(text) * _UNIT_ERROR:f}"


def _quote_times(data: dict[str, Any]) -> dict[str, Any]:
    priced = ("c", "d", "h", "l", "o", "pc")
    return data | {
        name: float(Decimal(str(data[name])) * _UNIT_ERROR)
        for name in priced
        if data.get(name) is not None
    }


def _bar_times(data: BarData) -> BarData:
    priced = ("open", "high", "low", "close", "adj_close")
    found = {name: getattr(data, name) for name in priced}
    return replace(data, **{name: _times(text) for name, text in found.items() if text})
