"""Records for a round: trades and bars of a few sessions, some of them copies, some of them bad."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from ingestion.errors import BrokerError
from ingestion.settings import KafkaSettings

_TIMEOUT_S: Final = 60.0
_OPENS: Final = (
    datetime(2013, 2, 27, 14, 30, tzinfo=UTC),
    datetime(2013, 2, 28, 14, 30, tzinfo=UTC),
)
_SYMBOLS: Final = ("AAPL", "IBM", "MSFT")
TRADES: Final = 30
BARS: Final = 3
# Of the round before: a trade that is corrected, one that is taken back.
_CHANGED: Final = (("correct", 1), ("cancel", 2))

Record = tuple[str, str, bytes]


def of_round(number: int) -> list[Record]:
    """Return (topic, key, value): trades, bars, changes of old trades, copies, and a bad record."""
    trades = [_trade(number * TRADES + i) for i in range(TRADES)]
    before = (number - 1) * TRADES
    changes = [_change(before + i, action) for action, i in _CHANGED] if number else []
    bars = [_bar(number, symbol) for symbol in _SYMBOLS[:BARS]]
    copies = [trades[0], bars[0], *([_trade(0)] if number else [])]
    bad = ("stock-market-realtime", "AAPL", f'{{"schema":"trade.v1","round":{number}}}'.encode())
    return [*trades, *bars, *changes, *copies, bad]


def _trade(number: int) -> Record:
    return _trade_record(number, f"t{number}", f"{100 + number % 50}.{number % 100:02}", "new")


def _change(number: int, action: str) -> Record:
    return _trade_record(number, f"c{number}", "99.5", action, _identity(f"t{number}"))


def _trade_record(
    number: int, name: str, price: str, action: str, changes: str | None = None
) -> Record:
    at = _OPENS[number % 2] + timedelta(seconds=7 * number % 20_000)
    data: dict[str, Any] = {
        **{"price": price, "size": str(1 + number % 9), "exchange": "Q", "conditions": []},
        **{"seq": number, "action": action, "ref": changes},
    }
    symbol = _SYMBOLS[number % len(_SYMBOLS)]
    return _record("stock-market-realtime", "trade.v1", "simulator", symbol, at, data, name)


def _bar(number: int, symbol: str) -> Record:
    at = _OPENS[number % 2]
    price = f"{100 + number}.5"
    data: dict[str, Any] = {
        **{"interval": "1d", "start": _iso(at), "session_date": at.date().isoformat()},
        **{"open": price, "high": price, "low": price, "close": price, "volume": str(number)},
        **{"adj_close": None, "currency": "USD", "adjustment": "raw"},
        "as_of": _iso(at + timedelta(hours=7, seconds=number)),
    }
    name = f"b{number}{symbol}"
    return _record("stock-market-batch", "bar.v1", "recorded", symbol, at, data, name)


def _record(
    topic: str,
    schema: str,
    source: str,
    symbol: str,
    at: datetime,
    data: dict[str, Any],
    name: str,
) -> Record:
    value = {
        **{"schema": schema, "event_id": _identity(name)},
        **{"source": source, "simulated": True, "symbol": symbol, "event_time": _iso(at)},
        **{"fetched_at": _iso(at + timedelta(seconds=1)), "run_id": "drill", "data": data},
    }
    return topic, symbol, json.dumps(value, separators=(",", ":")).encode()


def _identity(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def send(records: list[Record]) -> None:
    """Send records and wait for every confirmation.

    Raises:
        BrokerError: one was not confirmed.
    """
    failed: list[str] = []

    def confirmed(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer({**KafkaSettings.load().client("producer"), "enable.idempotence": True})
    for topic, key, value in records:
        producer.produce(topic, value, key, on_delivery=confirmed)
    left = producer.flush(_TIMEOUT_S)
    if left or failed:
        raise BrokerError(f"{left} records were not confirmed: {failed[:1]}")


def rounds() -> Iterator[list[Record]]:
    """Yield the records of one round after another."""
    number = 0
    while True:
        yield of_round(number)
        number += 1
