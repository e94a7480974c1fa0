"""The lake's tables: columns, partitions, order, and which topics feed them."""

from dataclasses import dataclass, replace
from typing import Final

from ingestion.contracts.topics import BATCH, REALTIME

CATALOG: Final = "lake"
POSITIONS: Final = "tapehouse.positions"
SOURCE_SNAPSHOT: Final = "tapehouse.source_snapshot"

PRICE: Final = "decimal(18,6)"
# Bars and actions keep what a provider sent, to the contract's last decimal: Yahoo's prices are
# 32-bit floats (34.099998474121094), a reverse split's ratio is 0.333333333333333333.
EXACT: Final = "decimal(38,18)"
VOLUME_SUM: Final = "decimal(28,6)"

Columns = dict[str, str]

TRANSPORT: Final[Columns] = {
    "topic": "string",
    "generation": "string",
    "partition": "int",
    "offset": "bigint",
    "kafka_timestamp": "timestamp",
}


@dataclass(frozen=True)
class Table:
    """One Iceberg table. ``columns`` maps names to Spark SQL types, in order."""

    namespace: str
    name: str
    columns: Columns
    partitioning: str
    sort: tuple[str, ...]
    topics: tuple[str, ...] = ()
    family: str = ""
    """Of an event table: the name of its messages' schemas, before the version."""
    business: tuple[str, ...] = ()
    """What must agree for two rows with one event_id to be the same event."""

    @property
    def identifier(self) -> str:
        """The table's full name in Spark."""
        return f"{CATALOG}.{self.namespace}.{self.name}"

    @property
    def ddl(self) -> str:
        """The columns as a Spark SQL schema."""
        return ", ".join(f"`{name}` {kind}" for name, kind in self.columns.items())


BARS: Final = Table(
    namespace="silver",
    name="bars",
    columns={
        "event_id": "string",
        "source": "string",
        "symbol": "string",
        "currency": "string",
        "adjustment": "string",
        "interval": "string",
        "run_id": "string",
        "open": EXACT,
        "high": EXACT,
        "low": EXACT,
        "close": EXACT,
        "adj_close": EXACT,
        "volume": "bigint",
        "simulated": "boolean",
        "session_date": "date",
        "event_at": "timestamp",
        "fetched_at": "timestamp",
        "start_at": "timestamp",
        "as_of": "timestamp",
        **TRANSPORT,
        "compacted_at": "timestamp",
    },
    # A daily bar per symbol fills no file per session: 3,270 files for 13 years.
    partitioning="years(session_date)",
    sort=("symbol", "start_at"),
    topics=(BATCH,),
    family="bar",
    business=(
        *("source", "symbol", "currency", "adjustment", "interval"),
        *("open", "high", "low", "close", "adj_close", "volume"),
        *("simulated", "session_date", "event_at", "start_at"),
    ),
)

CORPORATE_ACTIONS: Final = Table(
    namespace="silver",
    name="corporate_actions",
    columns={
        "event_id": "string",
        "source": "string",
        "symbol": "string",
        "type": "string",
        "currency": "string",
        "run_id": "string",
        "ratio": EXACT,
        "amount": EXACT,
        "simulated": "boolean",
        "ex_date": "date",
        "session_date": "date",
        "event_at": "timestamp",
        "fetched_at": "timestamp",
        "as_of": "timestamp",
        **TRANSPORT,
        "compacted_at": "timestamp",
    },
    partitioning="years(session_date)",
    sort=("symbol", "ex_date"),
    topics=(BATCH,),
    family="corporate_action",
    business=(
        *("source", "symbol", "type", "currency", "ratio", "amount"),
        *("simulated", "ex_date", "session_date", "event_at"),
    ),
)

TRADES: Final = Table(
    namespace="silver",
    name="trades",
    columns={
        "event_id": "string",
        "source": "string",
        "symbol": "string",
        "exchange": "string",
        "conditions": "array<string>",
        "action": "string",
        "ref": "string",
        "run_id": "string",
        "price": PRICE,
        "size": PRICE,
        "seq": "bigint",
        "simulated": "boolean",
        "session_date": "date",
        "event_at": "timestamp",
        "fetched_at": "timestamp",
        **TRANSPORT,
        "compacted_at": "timestamp",
    },
    partitioning="session_date",
    sort=("symbol", "event_at"),
    topics=(REALTIME,),
    family="trade",
    business=(
        *("source", "symbol", "exchange", "conditions", "action", "ref"),
        *("price", "size", "seq", "simulated", "session_date", "event_at"),
    ),
)

REJECTS: Final = Table(
    namespace="silver",
    name="rejects",
    columns={
        **TRANSPORT,
        "key": "string",
        "headers": "string",
        "reason": "string",
        "detail": "string",
        "raw": "string",
        "event_id": "string",
        "schema": "string",
        "session_date": "date",
        "compacted_at": "timestamp",
    },
    partitioning="topic",
    sort=("partition", "offset"),
    topics=(BATCH, REALTIME),
)

DAILY_METRICS: Final = Table(
    namespace="metrics",
    name="daily_stock_metrics",
    columns={
        "symbol": "string",
        "source": "string",
        "simulated": "boolean",
        "session_date": "date",
        "daily_open": PRICE,
        "daily_high": PRICE,
        "daily_low": PRICE,
        "daily_close": PRICE,
        "daily_volume": "bigint",
        "daily_change": "double",
        "bar_event_id": "string",
        "as_of": "timestamp",
        "revision": "int",
        "computed_at": "timestamp",
    },
    partitioning="years(session_date)",
    sort=("symbol", "session_date"),
)

WINDOW_METRICS: Final = Table(
    namespace="metrics",
    name="realtime_stock_analytics",
    columns={
        "symbol": "string",
        "source": "string",
        "simulated": "boolean",
        "session_date": "date",
        "window_end_at": "timestamp",
        "window_15m_start_at": "timestamp",
        "window_1h_start_at": "timestamp",
        "ma_15m": "double",
        "ma_1h": "double",
        "volatility_15m": "double",
        "volatility_1h": "double",
        "return_volatility_15m": "double",
        "return_volatility_1h": "double",
        "vwap_15m": "double",
        "vwap_1h": "double",
        "volume_sum_15m": VOLUME_SUM,
        "volume_sum_1h": VOLUME_SUM,
        "n_obs_15m": "bigint",
        "n_obs_1h": "bigint",
        "coverage_15m": "double",
        "coverage_1h": "double",
        "ma_5_periods": "double",
        "ma_15_periods": "double",
        "ma_30_periods": "double",
        "is_partial_15m": "boolean",
        "is_partial_1h": "boolean",
        "is_final": "boolean",
        "revision": "int",
        "as_of": "timestamp",
        "computed_at": "timestamp",
    },
    partitioning="session_date",
    sort=("symbol", "window_end_at"),
)

TRADE_BARS: Final = Table(
    namespace="metrics",
    name="trade_bars",
    columns={
        "symbol": "string",
        "source": "string",
        "interval": "string",
        "segment": "string",
        "open": PRICE,
        "high": PRICE,
        "low": PRICE,
        "close": PRICE,
        "volume": VOLUME_SUM,
        "vwap": "double",
        "n_trades": "bigint",
        "simulated": "boolean",
        "is_final": "boolean",
        "session_date": "date",
        "start_at": "timestamp",
        "end_at": "timestamp",
        "revision": "int",
        "as_of": "timestamp",
        "computed_at": "timestamp",
    },
    partitioning="session_date",
    sort=("symbol", "interval", "start_at"),
)

# What the stream tells before the batch; only the stream writes here. Revisions are its batches.
STREAM_WINDOWS: Final = replace(WINDOW_METRICS, name=f"{WINDOW_METRICS.name}_stream")
STREAM_BARS: Final = replace(TRADE_BARS, name=f"{TRADE_BARS.name}_stream")

ANOMALIES: Final = Table(
    namespace="metrics",
    name="anomalies",
    columns={
        "symbol": "string",
        "source": "string",
        "rule": "string",
        "subject": "string",
        "detail": "string",
        "value": "double",
        "threshold": "double",
        "simulated": "boolean",
        "session_date": "date",
        "event_at": "timestamp",
        "revision": "int",
        "as_of": "timestamp",
        "computed_at": "timestamp",
    },
    partitioning="session_date",
    sort=("symbol", "event_at"),
)

EVENTS: Final = (BARS, CORPORATE_ACTIONS, TRADES)
COMPACTED: Final = (*EVENTS, REJECTS)
METRICS: Final = (DAILY_METRICS, WINDOW_METRICS, TRADE_BARS, ANOMALIES)
STREAMED: Final = (STREAM_WINDOWS, STREAM_BARS)
TABLES: Final = (*COMPACTED, *METRICS, *STREAMED)

METRIC_KEYS: Final[dict[str, tuple[str, ...]]] = {
    DAILY_METRICS.name: ("symbol", "source", "session_date"),
    WINDOW_METRICS.name: ("symbol", "source", "session_date", "window_end_at"),
    TRADE_BARS.name: ("symbol", "source", "session_date", "interval", "segment", "start_at"),
    STREAM_WINDOWS.name: ("symbol", "source", "session_date", "window_end_at"),
    STREAM_BARS.name: ("symbol", "source", "session_date", "interval", "segment", "start_at"),
    ANOMALIES.name: ("symbol", "source", "session_date", "rule", "subject"),
}
# What no transform computes: these are known when rows are compared with what the table holds.
COMPUTED_LATER: Final = ("is_final", "revision", "computed_at")

_WINDOW_NOTHING: Final = {
    **dict.fromkeys(
        name
        for name, kind in WINDOW_METRICS.columns.items()
        if kind == "double" and not name.startswith("coverage_")
    ),
    **dict.fromkeys(("volume_sum_15m", "n_obs_15m", "coverage_15m"), 0),
    **dict.fromkeys(("volume_sum_1h", "n_obs_1h", "coverage_1h"), 0),
}
_BAR_NOTHING: Final = {
    **dict.fromkeys(("open", "high", "low", "close", "vwap")),
    **{"volume": 0, "n_trades": 0},
}
NOTHING: Final[dict[str, dict[str, int | None]]] = {
    WINDOW_METRICS.name: _WINDOW_NOTHING,
    TRADE_BARS.name: _BAR_NOTHING,
    ANOMALIES.name: {"value": None},
}
"""Values of a row of which nothing is left, all trades taken back; the other values stay."""

# Windows stand on every end of a session; a bar only where there is a trade, an anomaly only where
# there still is one.
SOME: Final = {
    **{table.name: "n_trades > 0" for table in (TRADE_BARS, STREAM_BARS)},
    ANOMALIES.name: "value is not null",
}
