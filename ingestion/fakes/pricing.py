"""Yahoo's streamed ``PricingData``, written by its published field numbers (protocol buffers 3).

Written by hand, not with the client's own generated code, so that the client decodes what another
has encoded. Fields that are zero are left out, as the format has it.
"""

import struct
from collections.abc import Mapping
from typing import Final, Literal

Kind = Literal["text", "float", "double", "signed", "plain"]
# Name: (number, kind). `signed` is sint64 (zigzag), `plain` int32.
FIELDS: Final[Mapping[str, tuple[int, Kind]]] = {
    "id": (1, "text"), "price": (2, "float"), "time": (3, "signed"), "currency": (4, "text"),
    "exchange": (5, "text"), "quote_type": (6, "plain"), "market_hours": (7, "plain"),
    "change_percent": (8, "float"), "day_volume": (9, "signed"), "day_high": (10, "float"),
    "day_low": (11, "float"), "change": (12, "float"), "short_name": (13, "text"),
    "open_price": (15, "float"), "previous_close": (16, "float"), "last_size": (22, "signed"),
    "price_hint": (27, "signed"), "vol_24hr": (28, "signed"), "vol_all_currencies": (29, "signed"),
    "from_currency": (30, "text"), "circulating_supply": (32, "double"),
    "market_cap": (33, "double"),
}  # fmt: skip
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def encode(values: Mapping[str, str | int | float]) -> bytes:
    """Return a message. ``time`` is in epoch milliseconds.

    Raises:
        KeyError: a name is no field.
    """
    ordered = sorted(values.items(), key=lambda item: FIELDS[item[0]][0])
    return b"".join(_field(name, value) for name, value in ordered if value)


def _field(name: str, value: str | int | float) -> bytes:
    number, kind = FIELDS[name]
    if isinstance(value, str):
        body = value.encode()
        return _tag(number, _LENGTH) + _varint(len(body)) + body
    if kind == "float":
        return _tag(number, _FOUR) + struct.pack("<f", value)
    if kind == "double":
        return _tag(number, _EIGHT) + struct.pack("<d", value)
    whole = int(value)
    return _tag(number, _VARINT) + _varint(_zigzag(whole) if kind == "signed" else whole)


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
