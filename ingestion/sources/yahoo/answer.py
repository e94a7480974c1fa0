"""One answer of Yahoo's chart endpoint, every number kept as the bytes that were received.

yfinance reads these answers too, but into floats: a null volume becomes 0, two rows of one day
become one, and a row that pandas cannot hold fails the whole answer. Messages are therefore made
from the answer itself; yfinance is how it is got.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from ingestion.sources.provider import MalformedError, NoDataError

# Not the contract's limit, which a whole answer may exceed: what no documented answer comes near.
_EVENTS = {"split": "splits", "dividend": "dividends", "gain": "capitalGains"}
_REJECTED = "not an answer of the chart endpoint: "
_NO_REASON = "no reason given"
# The longest known, a refused range, has 160 characters.
_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer with status 200, and when it was received.

    ``simulated`` is what a local server says of its data.
    """

    body: bytes
    fetched_at: datetime
    simulated: bool = False


class Meta(Struct, frozen=True):
    """What the answer says of itself."""

    symbol: str
    currency: str | None = None
    zone: str | None = msgspec.field(name="exchangeTimezoneName", default=None)
    granularity: str | None = msgspec.field(name="dataGranularity", default=None)


class Quote(Struct, frozen=True):
    """Parallel arrays, one element a row; an answer without rows has none of them."""

    open: list[Raw] = []
    high: list[Raw] = []
    low: list[Raw] = []
    close: list[Raw] = []
    volume: list[Raw] = []


class AdjClose(Struct, frozen=True):
    """The closes adjusted for splits and dividends; intraday answers have none."""

    adjclose: list[Raw] = []


class Indicators(Struct, frozen=True):
    """All arrays."""

    quote: list[Quote] = []
    adjclose: list[AdjClose] = []


class Events(Struct, frozen=True):
    """Corporate actions, by a text of their time."""

    dividends: dict[str, Raw] | None = None
    splits: dict[str, Raw] | None = None
    gains: dict[str, Raw] | None = msgspec.field(name="capitalGains", default=None)


class Result(Struct, frozen=True):
    """One symbol's rows and actions."""

    meta: Meta
    timestamp: list[Raw] | None = None
    indicators: Indicators = Indicators()
    events: Events | None = None


class _Error(Struct, frozen=True):
    code: str | None = None
    description: str | None = None

    def reason(self) -> str:
        return (self.description or self.code or _NO_REASON)[:_MAX_REASON]


class _Chart(Struct, frozen=True):
    result: list[Result] | None = None
    error: _Error | None = None


class _Document(Struct, frozen=True):
    chart: _Chart


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the arrays; every element is its JSON text."""

    timestamp: Raw
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    adj_close: Raw | None

    def body(self, symbol: str) -> bytes:
        """Return the row as one JSON object of its elements as they were received."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return msgspec.json.encode(
            {"symbol": symbol, **{name: raw for name, raw in fields.items() if raw is not None}}
        )


def read(body: bytes) -> Result:
    """Read an answer.

    Raises:
        NoDataError: Yahoo says that it has nothing, and why.
        MalformedError: it is not UTF-8, not JSON, or not of the documented shape; a key is
            repeated, or a number is none of JSON.
    """
    try:
        text = body.decode()
        json.loads(text, object_pairs_hook=_refuse_repeated, parse_constant=_refuse_constant)
        chart = msgspec.json.decode(text, type=_Document).chart
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise MalformedError(f"{_REJECTED}{_reason(error)}", body) from None
    if chart.error is not None:
        raise NoDataError(f"Yahoo: {chart.error.reason()}", body)
    if not chart.result:
        raise NoDataError("Yahoo: neither a result nor an error", body)
    return chart.result[0]


def whole(body: bytes, currency: str | None) -> bytes:
    """Return an answer that has a refused row or action as its only one; an answer as it is.

    Raises:
        MalformedError: the body is no JSON object.
    """
    try:
        part = msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise MalformedError(f"{_REJECTED}{str(error)[:300]}", body) from None
    if "symbol" not in part:
        return body
    meta = {"symbol": part.pop("symbol"), "currency": currency}
    result: dict[str, Any] = {"meta": meta}
    if "timestamp" in part:
        result |= _one_row(part)
    else:
        result["events"] = {_EVENTS.get(name, name): {"0": raw} for name, raw in part.items()}
    return msgspec.json.encode({"chart": {"result": [result], "error": None}})


def _one_row(part: dict[str, Raw]) -> dict[str, Any]:
    adjusted = part.pop("adj_close", None)
    indicators: dict[str, Any] = {
        "quote": [{name: [raw] for name, raw in part.items() if name != "timestamp"}]
    }
    if adjusted is not None:
        indicators["adjclose"] = [{"adjclose": [adjusted]}]
    return {"timestamp": [part["timestamp"]], "indicators": indicators}


def reason(body: bytes) -> str:
    """Return Yahoo's own reason in the body of a refusal, or that it has none."""
    try:
        chart = msgspec.json.decode(body, type=_Document).chart
    except (msgspec.MsgspecError, RecursionError):
        return _NO_REASON
    return chart.error.reason() if chart.error else _NO_REASON


def rows(result: Result, body: bytes) -> list[Row]:
    """Return the rows in the order of the answer.

    Raises:
        NoDataError: there is none.
        MalformedError: the arrays have not one element for each time.
    """
    if not result.timestamp:
        raise NoDataError("Yahoo: an answer without rows", body)
    arrays = _arrays(result, body)
    for name, array in arrays.items():
        if len(array) != len(result.timestamp):
            text = f"expected {len(result.timestamp)} of {name}, found {len(array)}"
            raise MalformedError(f"{_REJECTED}{text}", body)
    adjusted = arrays.pop("adjclose", None) or [None] * len(result.timestamp)
    return [Row(*row) for row in zip(result.timestamp, *arrays.values(), adjusted, strict=True)]


def _arrays(result: Result, body: bytes) -> dict[str, Any]:
    if not result.indicators.quote:
        raise MalformedError(f"{_REJECTED}expected indicators.quote, found none", body)
    quote = result.indicators.quote[0]
    arrays: dict[str, Any] = {
        name: getattr(quote, name) for name in ("open", "high", "low", "close", "volume")
    }
    if result.indicators.adjclose:
        arrays["adjclose"] = result.indicators.adjclose[0].adjclose
    return arrays


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"expected UTF-8, found {error.reason} at byte {error.start}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"expected each key once, found {repeated!r} repeated")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"expected a number of JSON, found {text}")
