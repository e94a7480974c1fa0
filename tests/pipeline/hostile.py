"""Records that must not stop the pipeline nor reach gold, and where each has to end."""

import json
import uuid
from typing import Any, NamedTuple

SOURCE = "hostile"


class Hostile(NamedTuple):
    """A value written straight to a topic, and the reason or rule under which it must be kept."""

    topic: str
    value: bytes
    reason: str


def _message(schema: str, data: Any, event_time: str, **changes: Any) -> bytes:
    body = {
        "schema": schema,
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{schema} {data} {event_time}")),
        "source": SOURCE,
        "simulated": True,
        "symbol": "IBM",
        "event_time": event_time,
        "fetched_at": "2013-03-01T21:00:01.000000Z",
        "run_id": "hostile",
        "data": data,
    }
    return json.dumps({**body, **changes}).encode()


_BAR = {
    "interval": "1d", "start": "2013-03-01T14:30:00Z", "session_date": "2013-03-01",
    "open": "200", "high": "210", "low": "190", "close": "205", "volume": "1000",
    "adj_close": None, "currency": "USD", "adjustment": "raw", "as_of": "2013-03-01T21:15:00Z",
}  # fmt: skip
_TRADE = {"price": "200.01", "size": "5", "exchange": None, "conditions": [], "seq": 1}
_QUOTE = {"c": 200.5, "d": 1, "dp": 0.5, "h": 201, "l": 199, "o": 200, "pc": 199.5, "t": 1362171600}
_OPEN, _LATE = "2013-03-01T14:30:00Z", "2013-03-01T21:00:00Z"
_BATCH, _TRADES, _QUOTES = "stock-market-batch", "stock-market-realtime", "stock-quotes"

# Written by a producer that is not ours, so that no edge of ours has looked at them.
RECORDS = (
    Hostile(_BATCH, b'{"schema":"bar.v1",', "invalid_json"),
    Hostile(_BATCH, b"\xff\xfe not text", "invalid_json"),
    Hostile(_BATCH, b"[1,2]", "not_an_object"),
    Hostile(_BATCH, _message("bar.v9", _BAR, _OPEN), "unknown_schema"),
    Hostile(_BATCH, _message("bar.v1", {**_BAR, "close": 205.0}, _OPEN), "contract"),
    Hostile(_BATCH, _message("bar.v1", {**_BAR, "close": "NaN"}, _OPEN), "contract"),
    Hostile(_BATCH, _message("bar.v1", {**_BAR, "high": "1" * 25}, _OPEN), "number_range"),
    Hostile(
        _BATCH,
        _message("bar.v1", {**_BAR, "session_date": "2013-03-02"}, "2013-03-02T14:30:00Z"),
        "no_session",
    ),
    Hostile(_TRADES, _message("trade.v1", {**_TRADE, "price": "Infinity"}, _OPEN), "contract"),
    Hostile(_TRADES, _message("quote.v1", _QUOTE, _LATE), "wrong_topic"),
    Hostile(_TRADES, b"\x00\x01", "invalid_json"),
)

# Valid messages of impossible content: silver's rules keep them, by rule.
QUARANTINED = {
    "bars": (
        Hostile(_BATCH, _message("bar.v1", {**_BAR, "low": "206"}, _OPEN), ""),
        Hostile(_BATCH, _message("bar.v1", {**_BAR, "open": None}, _OPEN), ""),
        Hostile(_BATCH, _message("bar.v1", {**_BAR, "volume": "-1"}, _OPEN), ""),
    ),
    "quotes": (
        Hostile(_QUOTES, _message("quote.v1", dict.fromkeys(_QUOTE, 0), _LATE), ""),
        Hostile(_QUOTES, _message("quote.v1", {**_QUOTE, "c": 1e300}, _LATE), ""),
        Hostile(_QUOTES, b'{"schema":"quote.v1","data":', ""),
        Hostile(_QUOTES, _message("quote.v1", _QUOTE, _LATE, symbol="NOSUCH"), ""),
    ),
}
