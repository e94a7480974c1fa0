"""A lake made by hand, with the columns of the real one where the test needs them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

_AT = pa.timestamp("us", "UTC")
_PRICE = pa.decimal128(38, 18)
BARS = pa.schema(
    {name: pa.string() for name in ("event_id", "source", "symbol", "currency", "adjustment")}
    | {"interval": pa.string(), "run_id": pa.string()}
    | {name: _PRICE for name in ("open", "high", "low", "close")}
    | {"adj_close": _PRICE}
    | {"volume": pa.int64(), "simulated": pa.bool_(), "session_date": pa.date32()}
    | {name: _AT for name in ("event_at", "fetched_at", "start_at", "as_of")}
    | {"topic": pa.string(), "generation": pa.string(), "partition": pa.int32()}
    | {"offset": pa.int64(), "kafka_timestamp": _AT, "compacted_at": _AT}
)


def bars_table(catalog: Catalog) -> Table:
    catalog.create_namespace_if_not_exists("silver")
    return catalog.create_table("silver.bars", BARS)


def bars(*symbols: str) -> pa.Table:
    at = datetime(2013, 3, 1, 14, 30, tzinfo=UTC)
    rows: list[dict[str, Any]] = [
        {
            "event_id": f"{symbol}-1",
            "symbol": symbol,
            "open": Decimal("34.099998474121094"),
            "volume": 7,
            "simulated": False,
            "session_date": date(2013, 3, 1),
            "event_at": at,
            "offset": 3,
        }
        for symbol in symbols
    ]
    return pa.Table.from_pylist(rows, schema=BARS)
