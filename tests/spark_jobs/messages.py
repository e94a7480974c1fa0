"""Messages as producers send them, each with one thing changed where a test says so."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

OPEN = datetime(2013, 2, 28, 14, 30, tzinfo=UTC)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def bar(day: str = "2013-02-28", symbol: str = "AAPL", **data: Any) -> dict[str, Any]:
    opened = datetime.fromisoformat(f"{day}T14:30:00+00:00")
    closed = iso(opened + timedelta(hours=6, minutes=45))
    fields = {
        **{"interval": "1d", "start": iso(opened), "session_date": day},
        **{"open": "444.05", "high": "447.87", "low": "441.40", "close": "441.40"},
        **{"volume": "11518400", "adj_close": "437.123456789012345", "currency": "USD"},
        **{"adjustment": "raw", "as_of": closed},
        **data,
    }
    name = repr((symbol, sorted((k, v) for k, v in fields.items() if k != "as_of")))
    return _envelope("bar.v1", event_id(name), symbol, iso(opened), closed, fields, "recorded")


def action(day: str = "2013-02-28", symbol: str = "AAPL", **data: Any) -> dict[str, Any]:
    opened = datetime.fromisoformat(f"{day}T14:30:00+00:00")
    fields = {
        **{"type": "split", "ex_date": day, "ratio": "2", "amount": None, "currency": "USD"},
        **{"as_of": iso(opened), **data},
    }
    identity = event_id(f"action {symbol} {day} {data}")
    at = iso(opened)
    return _envelope("corporate_action.v1", identity, symbol, at, at, fields, "recorded")


def trade(
    number: int = 0,
    at: datetime = OPEN,
    price: str = "440.10",
    size: str = "100",
    symbol: str = "AAPL",
    **data: Any,
) -> dict[str, Any]:
    fields = {
        **{"price": price, "size": size, "exchange": "Q", "conditions": [], "seq": number},
        **{"action": "new", "ref": None, **data},
    }
    identity = event_id(f"trade {symbol} {number}")
    return _envelope("trade.v1", identity, symbol, iso(at), iso(at), fields, "simulator")


def _envelope(
    schema: str,
    identity: str,
    symbol: str,
    event_time: str,
    fetched_at: str,
    data: dict[str, Any],
    source: str,
) -> dict[str, Any]:
    return {
        **{"schema": schema, "event_id": identity, "source": source},
        **{"simulated": source == "simulator", "symbol": symbol, "event_time": event_time},
        **{"fetched_at": fetched_at, "run_id": "r1", "data": data},
    }
