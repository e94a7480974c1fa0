"""What a frame of Finnhub's WebSocket says: trades, a ping, or an error.

``{"data":[{"c":["1","12"],"p":280.235,"s":"SPY","t":1587739079469,"v":100}],"type":"trade"}``,
``t`` in milliseconds, ``c`` a list of condition codes, null or absent. A trade has neither an id
nor a number: its place in the stream is its identity.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from ingestion.clock import rfc3339
from ingestion.contracts.identity import trade_id
from ingestion.contracts.records import Message
from ingestion.contracts.topics import REALTIME
from ingestion.errors import ContractError
from ingestion.sources import asked, exact_json
from ingestion.sources.exact_json import Number
from ingestion.sources.finnhub import NAME
from ingestion.sources.message_line import Encoded
from ingestion.sources.observed import Envelopes
from ingestion.sources.source import Refused

SCHEMA: Final = "trade.v1"
# Why an error frame is a dead letter.
PROVIDER_ERROR: Final = "provider_error"
_INDEX: Final = "index"
# An error's text goes into a log line; the frame is kept whole.
_SHOWN: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a frame came: connection, its number there, the time; ``seq`` of its first."""

    connection: str
    frame: int
    fetched_at: str
    first_seq: int

    def context(self, envelopes: Envelopes, index: int | None = None) -> asked.Context:
        """Return what it takes to read a frame, or one of its trades, again."""
        found = {
            "connection": self.connection,
            "frame": str(self.frame),
            "first_seq": str(self.first_seq),
            asked.FETCHED_AT: self.fetched_at,
            asked.SIMULATED: str(envelopes.simulated).lower(),
        }
        return tuple((found | ({} if index is None else {_INDEX: str(index)})).items())


@dataclass(frozen=True, slots=True)
class Trades:
    """A frame of trades, each read by itself."""

    made: list[Message | Refused]


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life that says nothing."""


@dataclass(frozen=True, slots=True)
class StreamError:
    """What the provider complains of, in its own words: the first of them."""

    text: str

    @property
    def is_too_many_symbols(self) -> bool:
        """Whether the plan has no room for a subscription; only the words can tell."""
        return "too many symbols" in self.text.lower()


Frame = Trades | Ping | StreamError


class _Split(msgspec.Struct):
    data: list[msgspec.Raw]


_split = msgspec.json.Decoder(_Split)


def read(frame: bytes, place: Place, envelopes: Envelopes) -> Frame:
    """Read a frame; a trade in it that is none is refused alone, with its own bytes.

    Raises:
        ContractError: the frame as a whole is not what the provider documents.
    """
    document = exact_json.parse(frame)
    if not isinstance(document, dict):
        raise ContractError(f"expected an object, found {exact_json.shown(document)}")
    kind = document.get("type")
    if kind == "ping":
        return Ping()
    if kind == "error":
        return StreamError(str(document.get("msg"))[:_SHOWN])
    items = document.get("data")
    if kind != "trade" or not isinstance(items, list):
        raise ContractError(
            f"expected trades, a ping or an error, found type {exact_json.shown(kind)} "
            f"with data {exact_json.shown(items)}"
        )
    return Trades(list(_trades(items, _bodies(frame), place, envelopes)))


def _trades(
    items: list[Any], bodies: list[msgspec.Raw], place: Place, envelopes: Envelopes
) -> Iterator[Message | Refused]:
    for index, (item, body) in enumerate(zip(items, bodies, strict=True)):
        try:
            yield _trade(item, index, place, envelopes)
        except ContractError as error:
            detail = f"frame {place.frame} of {place.connection}, trade {index}: {error}"
            context = place.context(envelopes, index)
            yield Refused(bytes(body), REALTIME, "contract", detail, envelopes.source, context)


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read a dead letter's body again: a frame, or a trade of one. An error frame stays one.

    Raises:
        ContractError: it is neither, or its headers do not tell its place in the stream.
    """
    try:
        place = Place(
            headers["connection"],
            int(headers["frame"]),
            headers[asked.FETCHED_AT],
            int(headers["first_seq"]),
        )
        envelopes = Envelopes(NAME, headers["run_id"], headers[asked.SIMULATED] == "true")
        index = int(headers[_INDEX]) if _INDEX in headers else None
    except (KeyError, ValueError) as error:
        raise ContractError(f"expected a place in the stream in the headers: {error}") from None
    if index is not None:
        return [_trade(exact_json.parse(body), index, place, envelopes)]
    found = read(body, place, envelopes)
    if isinstance(found, StreamError):
        return [Refused(body, REALTIME, PROVIDER_ERROR, found.text, NAME)]
    return [*found.made] if isinstance(found, Trades) else []


def _trade(item: object, index: int, place: Place, envelopes: Envelopes) -> Message:
    if not isinstance(item, dict):
        raise ContractError(f"expected a trade, found {exact_json.shown(item)}")
    missing = [name for name in ("s", "p", "v", "t") if name not in item]
    if missing:
        raise ContractError(f"expected a trade, found no {' and no '.join(missing)}")
    symbol = item["s"]
    if not _is_text(symbol):
        raise ContractError(f"expected a symbol in s, found {exact_json.shown(symbol)}")
    data = {
        "price": exact_json.decimal_text(item["p"]),
        "size": exact_json.decimal_text(item["v"]),
        "exchange": None,
        "conditions": _conditions(item.get("c")),
        "seq": place.first_seq + index,
    }
    return envelopes.message(
        SCHEMA,
        trade_id(envelopes.source, place.connection, place.frame, index),
        symbol,
        _event_time(item["t"]),
        place.fetched_at,
        data,
    )


def _conditions(codes: object) -> list[str]:
    if codes is None:
        return []
    if not isinstance(codes, list) or not all(_is_text(code) for code in codes):
        raise ContractError(f"expected a list of codes in c, found {exact_json.shown(codes)}")
    return codes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _event_time(milliseconds: object) -> str:
    number = exact_json.whole(milliseconds)
    try:
        return rfc3339(_EPOCH + timedelta(milliseconds=number))
    except OverflowError:
        raise ContractError(f"expected epoch milliseconds in t, found {number}") from None


def _bodies(frame: bytes) -> list[msgspec.Raw]:
    """Return each trade's own bytes; half a character in an escape makes the frame no document."""
    try:
        return _split.decode(frame).data
    except msgspec.MsgspecError as error:
        raise ContractError(f"not a valid document: {error}") from None
