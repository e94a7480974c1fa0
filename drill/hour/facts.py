"""What the servers handed out and what Kafka holds, in one form that can be compared.

It shares no code with the adapters. Numbers are decimals.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

_DECIMALS: Final = Decimal("1e-18")

Value = Decimal | str | None


class Fact(NamedTuple):
    """One thing that was said: by whom, what it is, of which symbol and time, with which values."""

    provider: str
    kind: str
    symbol: str
    time: str
    values: tuple[Value, ...]


def decoded(document: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON document with every number as a decimal of the digits that were sent."""
    return json.loads(document, parse_float=Decimal, parse_int=Decimal)


def handed_out(observation: Mapping[str, Any], days: tuple[str, str]) -> Iterator[Fact]:
    """Return what an observation should be in Kafka; bars beyond the days were not asked for."""
    kind, provider = observation["kind"], observation["provider"]
    symbol, time, values = observation["symbol"], observation["time"], observation["values"]
    if kind in ("trade", "quote"):
        yield Fact(provider, kind, symbol, time if kind == "trade" else "", tuple(values))
        return
    day = _day(time)
    if not days[0] <= day <= days[1]:
        return
    if kind == "dividend":
        yield Fact(provider, kind, symbol, day, (_number(values[0]),))
    elif kind == "split":
        yield Fact(provider, kind, symbol, day, (_number(values[0] / values[1]),))
    elif kind == "bar.1d":
        yield Fact(provider, "bar", symbol, day, tuple(_number(value) for value in values))
    elif kind == "bar.1d.adjusted":
        opening, high, low, close, adjusted, volume, amount, ratio = map(_number, values)
        yield Fact(provider, "bar", symbol, day, (opening, high, low, close, volume, adjusted))
        if amount:
            yield Fact(provider, "dividend", symbol, day, (amount,))
        if ratio != 1:
            yield Fact(provider, "split", symbol, day, (ratio,))
    else:
        raise ValueError(f"expected a known kind of observation, found {kind}")


def fact_of(message: Mapping[str, Any]) -> Fact:
    """Return what a message tells."""
    provider, symbol, data = message["source"], message["symbol"], message["data"]
    schema = message["schema"]
    if schema == "quote.v1":
        # Both providers' fields are in the order of their names.
        return Fact(provider, "quote", symbol, "", tuple(data[name] for name in sorted(data)))
    if schema == "trade.v1":
        ms = round(seconds(message["event_time"]) * 1_000)
        values = Decimal(data["price"]), Decimal(data["size"])
        return Fact(provider, "trade", symbol, str(ms), values)
    if schema == "bar.v1":
        names = "open", "high", "low", "close", "volume", "adj_close"
        values_ = tuple(_number(data[name]) for name in names)
        return Fact(provider, "bar", symbol, data["session_date"], values_)
    kind = data["type"]
    value = data["ratio" if kind == "split" else "amount"]
    return Fact(provider, kind, symbol, data["ex_date"], (_number(value),))


def _number(value: Decimal | str | None) -> Decimal | None:
    """Return a number to the contract's last decimal."""
    return None if value is None else Decimal(value).quantize(_DECIMALS).normalize()


def _day(time: str) -> str:
    """Return the day of a date, or of an epoch second within a session in New York."""
    if "-" in time:
        return time
    return datetime.fromtimestamp(int(time), UTC).date().isoformat()


def seconds(text: str) -> float:
    """Return a timestamp in seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()
