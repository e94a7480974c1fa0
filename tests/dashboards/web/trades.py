"""Trades as messages, for what follows them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from dashboards.web.tape import Record
from ingestion.clock import rfc3339
from ingestion.contracts.envelope import encode
from ingestion.contracts.records import TradeData, TradeMessage

OPEN = datetime(2013, 2, 28, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(hours=6.5)


def event_id(number: int) -> str:
    return str(UUID(int=number))


def trade(
    number: int,
    at: datetime,
    price: str,
    size: str = "100",
    symbol: str = "AAPL",
    source: str = "simulator",
    simulated: bool = True,
    fetched: datetime | None = None,
    **data: Any,
) -> TradeMessage:
    """A trade; `ref` among `data` is another trade's number."""
    if "ref" in data:
        data["ref"] = event_id(data["ref"])
    return TradeMessage(
        event_id=event_id(number),
        source=source,
        simulated=simulated,
        symbol=symbol,
        event_time=rfc3339(at),
        fetched_at=rfc3339(fetched or at + timedelta(milliseconds=50)),
        run_id="test",
        data=TradeData(
            **({"price": price, "size": size, "exchange": None, "conditions": [], "seq": number}
            | data)
        ),
    )  # fmt: skip


def record(message: TradeMessage, offset: int = 0, kafka_ms: int = 0) -> Record:
    return Record(encode(message), 0, offset, kafka_ms)
