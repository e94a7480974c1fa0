"""Records that must not stop the pipeline nor reach gold, and where each has to end."""

from typing import NamedTuple

from drill.hostile import (
    BAR,
    BATCH,
    LATE,
    OPEN,
    QUOTE,
    QUOTES,
    SOURCE,
    TRADE,
    TRADES,
    message,
)

__all__ = ["QUARANTINED", "RECORDS", "SOURCE", "Hostile"]


class Hostile(NamedTuple):
    """A value written straight to a topic, and the reason or rule under which it must be kept."""

    topic: str
    value: bytes
    reason: str


# Written by a producer that is not ours, so that no edge of ours has looked at them.
RECORDS = (
    Hostile(BATCH, b'{"schema":"bar.v1",', "invalid_json"),
    Hostile(BATCH, b"\xff\xfe not text", "invalid_json"),
    Hostile(BATCH, b"[1,2]", "not_an_object"),
    Hostile(BATCH, message("bar.v9", BAR, OPEN), "unknown_schema"),
    Hostile(BATCH, message("bar.v1", {**BAR, "close": 205.0}, OPEN), "contract"),
    Hostile(BATCH, message("bar.v1", {**BAR, "close": "NaN"}, OPEN), "contract"),
    Hostile(BATCH, message("bar.v1", {**BAR, "high": "1" * 25}, OPEN), "number_range"),
    Hostile(
        BATCH,
        message("bar.v1", {**BAR, "session_date": "2013-03-02"}, "2013-03-02T14:30:00Z"),
        "no_session",
    ),
    Hostile(TRADES, message("trade.v1", {**TRADE, "price": "Infinity"}, OPEN), "contract"),
    Hostile(TRADES, message("quote.v1", QUOTE, LATE), "wrong_topic"),
    Hostile(TRADES, b"\x00\x01", "invalid_json"),
)

# Valid messages of impossible content: silver's rules keep them, by rule.
QUARANTINED = {
    "bars": (
        Hostile(BATCH, message("bar.v1", {**BAR, "low": "206"}, OPEN), ""),
        Hostile(BATCH, message("bar.v1", {**BAR, "open": None}, OPEN), ""),
        Hostile(BATCH, message("bar.v1", {**BAR, "volume": "-1"}, OPEN), ""),
    ),
    "quotes": (
        Hostile(QUOTES, message("quote.v1", dict.fromkeys(QUOTE, 0), LATE), ""),
        Hostile(QUOTES, message("quote.v1", {**QUOTE, "c": 1e300}, LATE), ""),
        Hostile(QUOTES, b'{"schema":"quote.v1","data":', ""),
        Hostile(QUOTES, message("quote.v1", QUOTE, LATE, symbol="NOSUCH"), ""),
    ),
}
