"""Trades in bronze objects, made up: the same ones each time, with the faults that there are.

One in a thousand records is sent twice, one in ten thousand is no message.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.spark.folder import Record, land
from ingestion import calendar
from ingestion.clock import rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.records import TradeData, TradeMessage
from ingestion.contracts.topics import REALTIME

PARTITIONS: Final = 4
SYMBOLS: Final = 200
LAST_SESSION: Final = date(2013, 2, 28)
_RESENT_IN: Final = 1_000
_BAD_IN: Final = 10_000
_VALUE: Final = (
    b'{"schema":"trade.v1","event_id":"%b","source":"simulator","simulated":true,"symbol":"%b",'
    b'"event_time":"%b","fetched_at":"%b","run_id":"bench","data":{"price":"%d.%02d","size":"%d",'
    b'"exchange":null,"conditions":%b,"seq":%d,"action":"new","ref":null}}'
)
_CONDITIONS: Final = (b"[]", b"[]", b'["odd_lot"]', b'["@","T"]')
_BAD: Final = {
    "contract": b'{"schema":"trade.v1","event_id":"x"}',
    "unknown_schema": b'{"schema":"trade.v9"}',
    "not_an_object": b"[1]",
}


@dataclass
class Made:
    """What was made: the trades that are kept, and the other records by reason."""

    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def write(root: Path, trades: int, objects: int, sessions: int = 4) -> Made:
    """Write bronze objects below ``root`` and say what they hold.

    The trades lie in the last ``sessions`` sessions to `LAST_SESSION`, in their order.
    """
    made = Made()
    opens = opens_of(sessions)
    for partition in range(PARTITIONS):
        draw = np.random.default_rng((7, partition))
        values = _values(partition, trades // PARTITIONS, opens, draw)
        land(root, REALTIME, partition, _records(values, made), -(-trades // objects) + 100)
    return made


def append(root: Path, trades: int, seed: int) -> Made:
    """Write one more object, of the first partition: trades of the last session."""
    made = Made()
    values = _values(0, trades, opens_of(1), np.random.default_rng((seed, 0)))
    land(root, REALTIME, 0, _records(values, made), 2 * trades)
    return made


def trades(partition: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Make the key and value of trades of one partition in the last session, in their order."""
    return _values(partition, count, opens_of(1), np.random.default_rng((7, partition)))


def trade(place: int, number: int, at: bytes) -> tuple[bytes, bytes]:
    """Make the key and value of one trade of a symbol, by the symbol's place; ``at`` is its time.

    It is fetched at once. The price is one of seven, the size one of nine.
    """
    name, event_id = b"SYM%03d" % place, _uuid(b"%016x%016x" % (place, number))
    price, size = divmod(10_000 + 100 * place + number % 7, 100), 1 + number % 9
    return name, _VALUE % (event_id, name, at, at, *price, size, _CONDITIONS[0], number)


def opens_of(sessions: int) -> list[datetime]:
    """Return when the last sessions open."""
    found = calendar.get().sessions(end=LAST_SESSION)[-sessions:]
    return [session.open_at for session in found]


def _records(values: Iterator[tuple[bytes, bytes]], made: Made) -> Iterator[Record]:
    for number, (symbol, value) in enumerate(values):
        record = Record(symbol, b"trade.v1", b"simulator", value)
        made.kept += 1
        yield record
        if number % _RESENT_IN == _RESENT_IN // 2:
            made.rejected["duplicate"] += 1
            yield record
        if number % _BAD_IN == _BAD_IN // 2:
            reason = tuple(_BAD)[number // _BAD_IN % len(_BAD)]
            made.rejected[reason] += 1
            yield record._replace(value=_BAD[reason])


def _values(
    partition: int, count: int, opens: list[datetime], draw: np.random.Generator
) -> Iterator[tuple[bytes, bytes]]:
    places = draw.integers(0, SYMBOLS // PARTITIONS, count)
    names = [
        b"SYM%03d" % (PARTITIONS * place + partition) for place in range(SYMBOLS // PARTITIONS)
    ]
    prices = 10_000 + 100 * places + draw.integers(-500, 500, count)
    sizes = draw.zipf(2.2, count).clip(1, 900)
    rules = draw.integers(0, len(_CONDITIONS), count)
    ids = draw.bytes(16 * count).hex().encode()
    times = _times(count, opens, draw)
    for number in range(count):
        name, at = names[places[number]], times[number]
        dollars, cents = divmod(int(prices[number]), 100)
        yield name, _VALUE % (
            _uuid(ids[32 * number : 32 * number + 32]), name, at, at, dollars, cents,
            sizes[number], _CONDITIONS[rules[number]], number,
        )  # fmt: skip


def _times(count: int, opens: list[datetime], draw: np.random.Generator) -> list[bytes]:
    """Return times in order but for seconds, spread over the sessions' regular hours."""
    per_session = -(-count // len(opens))
    seconds = np.linspace(0, 6.4 * 3600, per_session)
    spread = np.tile(seconds, len(opens))[:count] + draw.uniform(0, 5, count)
    micros = (np.repeat([_micros(at) for at in opens], per_session)[:count]) + (
        spread * 1e6
    ).astype(np.int64)
    text = np.datetime_as_string(micros.astype("datetime64[us]"), unit="us")
    return [b"%bZ" % at for at in text.astype("S")]


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _uuid(digits: bytes) -> bytes:
    parts = digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]
    return b"-".join(parts)


def example() -> tuple[bytes, bytes]:
    """Return one value as it is made here, and as the project's own producers write it."""
    at = calendar.get().sessions(LAST_SESSION)[0].open_at
    ((_, made),) = _values(0, 1, [at], np.random.default_rng(1))
    fields: dict[str, Any] = json.loads(made)
    message = TradeMessage(
        **{name: fields[name] for name in ("event_id", "source", "simulated", "symbol", "run_id")},
        event_time=fields["event_time"],
        fetched_at=rfc3339(datetime.fromisoformat(fields["fetched_at"])),
        data=TradeData(**fields["data"]),
    )
    return made, envelope.encode(message)
