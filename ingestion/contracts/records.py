"""The four message schemas as immutable typed records.

Prices, sizes, ratios and amounts are decimal strings: no binary float lies between the provider's
text and ``decimal(18,6)``. A field that a record does not name is accepted (a new optional field is
a compatible change) and dropped when our own code writes the message again.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

# Each pattern ends in `$(?!\n)`: Python's `$` alone also matches before a final newline.
Decimal = Annotated[
    str,
    Meta(
        pattern=r"^-?(0|[1-9][0-9]{0,27})(\.[0-9]{1,18})?$(?!\n)",
        description="a decimal number as text, without exponent",
    ),
]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$(?!\n)",
        description="RFC 3339, UTC, at most microseconds",
    ),
]
Date = Annotated[
    str,
    Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)", description="a calendar date, ISO 8601"),
]
# Symbols go into file names, SQL and spreadsheets: an allow-list, not an escape (`BRK.B`, `^GSPC`).
Symbol = Annotated[
    str, Meta(pattern=r"^[A-Z0-9^][A-Z0-9.\-=^]{0,19}$(?!\n)", description="the provider's ticker")
]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,63}$(?!\n)")]
Uuid = Annotated[
    str,
    Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\n)"),
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217")]


class BarData(Struct, frozen=True, kw_only=True):
    """One OHLCV bar; ``start`` is its first instant, ``volume`` whole shares as text."""

    interval: Annotated[str, Meta(pattern=r"^[0-9]{1,3}(m|h|d|w|mo)$(?!\n)")]
    start: Timestamp
    session_date: Date
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    close: Decimal | None
    volume: Decimal | None
    adj_close: Annotated[
        Decimal | None,
        Meta(
            description="the close adjusted for the splits and dividends up to as_of, whatever"
            " `adjustment` says of the other prices: not on one basis with that of a bar whose"
            " as_of lies before a dividend since; null where the source gives none"
        ),
    ]
    currency: Currency
    adjustment: Annotated[
        Literal["raw", "split", "all"],
        Meta(
            description="what open, high, low, close and volume are adjusted for: nothing (raw: as"
            " traded), the splits up to as_of but no dividend (split: Yahoo's), or both (all)"
        ),
    ]
    as_of: Timestamp


class CorporateActionData(Struct, frozen=True, kw_only=True):
    """A split (``ratio`` = new shares per old) or a cash dividend (``amount`` per share)."""

    type: Literal["split", "dividend"]
    ex_date: Date
    ratio: Decimal | None
    amount: Annotated[
        Decimal | None,
        Meta(
            description="cash per share on the basis of the source's bars (`adjustment` of bar.v1):"
            " where those are raw, per share of the ex-date; where they are split-adjusted"
            " (Yahoo's), per share as it is at as_of"
        ),
    ]
    currency: Currency
    as_of: Timestamp


class TradeData(Struct, frozen=True, kw_only=True):
    """One trade print; ``ref`` is the event_id of the trade that it corrects or cancels."""

    price: Decimal
    size: Decimal
    exchange: str | None
    conditions: list[str]
    seq: int
    action: Literal["new", "correct", "cancel"] = "new"
    ref: Uuid | None = None


class Envelope(Struct, frozen=True, kw_only=True, tag_field="schema"):
    """What every message carries beside its data."""

    event_id: Uuid
    source: Name
    simulated: bool
    symbol: Symbol
    event_time: Timestamp
    fetched_at: Timestamp
    run_id: Annotated[str, Meta(min_length=1, max_length=64)]


class QuoteMessage(Envelope, frozen=True, kw_only=True, tag="quote.v1"):
    """A polled quote: ``data`` is the provider's own object, unaltered."""

    data: dict[str, Any]


class BarMessage(Envelope, frozen=True, kw_only=True, tag="bar.v1"):
    """An OHLCV bar."""

    data: BarData


class CorporateActionMessage(Envelope, frozen=True, kw_only=True, tag="corporate_action.v1"):
    """A split or a dividend."""

    data: CorporateActionData


class TradeMessage(Envelope, frozen=True, kw_only=True, tag="trade.v1"):
    """A trade print."""

    data: TradeData


Message = QuoteMessage | BarMessage | CorporateActionMessage | TradeMessage
MESSAGE_TYPES: tuple[type[Message], ...] = (
    QuoteMessage,
    BarMessage,
    CorporateActionMessage,
    TradeMessage,
)


def schema_name(message_type: type[Message]) -> str:
    """Return the schema's name with its version, such as ``bar.v1``."""
    return str(message_type.__struct_config__.tag)
