"""Raw tables filled by hand, as a load would leave them, for tests of dbt without the stack."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from ingestion import calendar
from ingestion.contracts.identity import observation_id
from ingestion.settings import ROOT

DDL = ROOT / "ingestion/load/duckdb.sql"
BATCH, QUOTES = "stock-market-batch", "stock-quotes"
GENERATION = "0" * 31 + "1"
XNYS = calendar.get("XNYS")


def at(*parts: int) -> datetime:
    """Return a moment as the warehouse has it: UTC, without a zone."""
    year, month, day, *rest = parts
    return datetime(year, month, day, *rest, tzinfo=UTC).replace(tzinfo=None)


LANDED_AT = at(2026, 11, 1, 12)


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class RawWarehouse:
    """A warehouse file with raw tables; ``batch`` is the load batch that rows are put into."""

    path: Path
    batch: int = 1
    offsets: dict[str, int] = field(default_factory=dict)

    def create(self) -> "RawWarehouse":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(self.path, config={"autoinstall_known_extensions": False}) as db:
            db.execute(DDL.read_text())
        return self

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with duckdb.connect(self.path, config={"autoinstall_known_extensions": False}) as db:
            return db.execute(sql, list(parameters)).fetchall()

    def frame(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(self.path, config={"autoinstall_known_extensions": False}) as db:
            return db.execute(sql).df()

    def value(self, sql: str, parameters: Sequence[object] = ()) -> Any:
        return self.query(sql, parameters)[0][0]

    def insert(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        columns = pa.Table.from_pylist(list(rows))
        with duckdb.connect(self.path, config={"autoinstall_known_extensions": False}) as db:
            db.register("given", columns)
            db.execute(f"insert into {table} by name select * from given")

    def bars(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add bars, and the metric that Spark would compute of each day's newest with prices."""
        found = [self._transport(BATCH) | self._loaded() | row for row in rows]
        self.insert("common.bars_raw", found)
        daily = [row for row in found if row["interval"] == "1d"]
        priced = [row for row in daily if row["open"] and row["close"]]
        newest = {
            (row["symbol"], row["source"], row["session_date"]): row
            for row in sorted(priced, key=lambda row: row["as_of"])
        }
        metrics = [self._metric(row) for row in newest.values()]
        if metrics:
            self.insert("common.daily_stock_metrics_raw", metrics)

    def actions(self, rows: Iterable[dict[str, Any]]) -> None:
        found = [self._transport(BATCH) | self._loaded() | row for row in rows]
        self.insert("common.corporate_actions_raw", found)

    def quotes(self, values: Iterable[object]) -> None:
        """Add quote lines; a value is the message, or a text to stand as ``value_b64``."""
        lines = []
        for value in values:
            place = self._transport(QUOTES)
            body = {"value_b64": value} if isinstance(value, bytes | str) else {"value": value}
            line = {"offset": place["offset"], "timestamp": 1793534400000, "key": None} | body
            lines.append(
                {
                    "line": json.dumps(line, default=lambda raw: raw.decode()),
                    "topic": QUOTES,
                    "generation": GENERATION,
                    "partition": 0,
                    "file": f"{QUOTES}/{self.batch}",
                    "loaded_at": LANDED_AT,
                    "batch_id": self.batch,
                }
            )
        with duckdb.connect(self.path, config={"autoinstall_known_extensions": False}) as db:
            db.register("given", pa.Table.from_pylist(lines))
            db.execute(
                "insert into common.bronze_stock_quotes_raw by name "
                "select cast(cast(line as json) as variant) as v, * exclude (line) from given"
            )

    def windows(self, rows: Iterable[dict[str, Any]]) -> None:
        self.insert("common.realtime_stock_analytics_raw", [self._loaded() | row for row in rows])

    def trade_bars(self, rows: Iterable[dict[str, Any]]) -> None:
        self.insert("common.trade_bars_raw", [self._loaded() | row for row in rows])

    def anomalies(self, rows: Iterable[dict[str, Any]]) -> None:
        self.insert("common.anomalies_raw", [self._loaded() | row for row in rows])

    def _transport(self, topic: str) -> dict[str, Any]:
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        return {
            "topic": topic,
            "generation": GENERATION,
            "partition": 0,
            "offset": offset,
            "kafka_timestamp": LANDED_AT,
        }

    def _loaded(self) -> dict[str, Any]:
        return {
            "file": f"file-{self.batch}",
            "snapshot_id": self.batch,
            "loaded_at": LANDED_AT,
            "batch_id": self.batch,
        }

    def _metric(self, bar: dict[str, Any]) -> dict[str, Any]:
        six = Decimal("0.000001")
        revision = (
            self.query(
                "select count(*) + 1 from common.daily_stock_metrics_raw "
                "where symbol = ? and source = ? and session_date = ?",
                [bar["symbol"], bar["source"], bar["session_date"]],
            )[0][0]
            if self.batch > 1
            else 1
        )
        return self._loaded() | {
            "symbol": bar["symbol"],
            "source": bar["source"],
            "simulated": bar["simulated"],
            "session_date": bar["session_date"],
            "daily_open": bar["open"].quantize(six),
            "daily_high": (bar["high"] or bar["close"]).quantize(six),
            "daily_low": (bar["low"] or bar["close"]).quantize(six),
            "daily_close": bar["close"].quantize(six),
            "daily_volume": bar["volume"],
            "daily_change": (float(bar["close"]) / float(bar["open"]) - 1) * 100,
            "bar_event_id": bar["event_id"],
            "as_of": bar["as_of"],
            "revision": revision,
            "computed_at": LANDED_AT,
        }


def bar(
    symbol: str,
    day: date,
    prices: tuple[str | None, ...],
    volume: int | None = 1000,
    **changes: Any,
) -> dict[str, Any]:
    """Return a daily bar as the lake has it; ``prices`` are open, high, low, close."""
    session = XNYS.session(day)
    start = session.open_at if session else datetime(day.year, day.month, day.day, 14, tzinfo=UTC)
    known = naive(session.close_at if session else start) + timedelta(minutes=15)
    values = dict(zip(("open", "high", "low", "close"), prices, strict=True))
    row = {
        "source": "recorded",
        "symbol": symbol,
        "currency": "USD",
        "adjustment": "raw",
        "interval": "1d",
        "run_id": "test",
        **{name: Decimal(text) if text else None for name, text in values.items()},
        "adj_close": None,
        "volume": volume,
        "simulated": False,
        "session_date": day,
        "event_at": naive(start),
        "fetched_at": known,
        "start_at": naive(start),
        "as_of": known,
        "compacted_at": LANDED_AT,
    } | changes
    identity = {**values, "volume": str(row["volume"]), "session_date": day.isoformat()}
    event_id = observation_id(row["source"], "bar.v1", symbol, rfc3339(row["event_at"]), identity)
    return {"event_id": event_id} | row


def action(symbol: str, day: date, kind: str, value: str, **changes: Any) -> dict[str, Any]:
    """Return a split (ratio) or dividend (amount) as the lake has it."""
    known = at(day.year, day.month, day.day, 12)
    row = {
        "source": "recorded",
        "symbol": symbol,
        "type": kind,
        "currency": "USD",
        "run_id": "test",
        "ratio": Decimal(value) if kind == "split" else None,
        "amount": Decimal(value) if kind == "dividend" else None,
        "simulated": False,
        "ex_date": day,
        "session_date": day,
        "event_at": known,
        "fetched_at": known,
        "as_of": known,
        "compacted_at": LANDED_AT,
    } | changes
    event_id = observation_id(
        row["source"], "corporate_action.v1", symbol, rfc3339(known), {"type": kind, "value": value}
    )
    return {"event_id": event_id} | row


def quote(
    symbol: str, moment: datetime, price: float, fetched_at: datetime | None = None, **data: Any
) -> dict[str, Any]:
    """Return a quote message as Kafka carries it; ``moment`` is naive UTC, whole seconds."""
    epoch = int(moment.replace(tzinfo=UTC).timestamp())
    fields = {
        "c": price,
        "d": 0.0,
        "dp": 0.0,
        "h": price + 1,
        "l": price - 1,
        "o": price - 0.5,
        "pc": price,
        "t": epoch,
    } | data
    event_time = rfc3339(moment)
    return {
        "schema": "quote.v1",
        "event_id": observation_id("simulator", "quote.v1", symbol, event_time, fields),
        "source": "simulator",
        "simulated": True,
        "symbol": symbol,
        "event_time": event_time,
        "fetched_at": rfc3339(fetched_at or moment + timedelta(seconds=1)),
        "run_id": "test",
        "data": fields,
    }


def window(symbol: str, end: datetime, revision: int = 1, **changes: Any) -> dict[str, Any]:
    """Return one end of the two trailing windows; ``end`` is naive UTC."""
    return {
        "symbol": symbol,
        "source": "simulator",
        "simulated": True,
        "session_date": end.date(),
        "window_end_at": end,
        "window_15m_start_at": end - timedelta(minutes=15),
        "window_1h_start_at": end - timedelta(hours=1),
        "ma_15m": 10.0,
        "ma_1h": 10.0,
        "volatility_15m": 0.1,
        "volatility_1h": 0.1,
        "return_volatility_15m": 0.001,
        "return_volatility_1h": 0.001,
        "vwap_15m": 10.0,
        "vwap_1h": 10.0,
        "volume_sum_15m": Decimal("100.000000"),
        "volume_sum_1h": Decimal("400.000000"),
        "n_obs_15m": 5,
        "n_obs_1h": 20,
        "coverage_15m": 0.3,
        "coverage_1h": 0.3,
        "ma_5_periods": 10.0,
        "ma_15_periods": None,
        "ma_30_periods": None,
        "is_partial_15m": False,
        "is_partial_1h": False,
        "is_final": revision > 1,
        "revision": revision,
        "as_of": end + timedelta(seconds=1),
        "computed_at": LANDED_AT,
    } | changes


def trade_bars(
    symbol: str, start: datetime, n_trades: int = 3, revision: int = 1
) -> list[dict[str, Any]]:
    """Return the bars of every interval that one minute of trades makes; ``start`` is naive UTC."""
    widths = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "1d": 390}
    prices = {"open": "10", "high": "12", "low": "9", "close": "11"}
    row = {
        "symbol": symbol,
        "source": "simulator",
        "segment": "regular",
        **{name: Decimal(text) if n_trades else None for name, text in prices.items()},
        "volume": Decimal(100 * n_trades),
        "vwap": 10.5 if n_trades else None,
        "n_trades": n_trades,
        "simulated": True,
        "is_final": revision > 1,
        "session_date": start.date(),
        "start_at": start,
        "revision": revision,
        "as_of": start + timedelta(seconds=61),
        "computed_at": LANDED_AT,
    }
    return [
        row | {"interval": name, "end_at": start + timedelta(minutes=width)}
        for name, width in widths.items()
    ]


def anomaly(
    symbol: str, moment: datetime, subject: str, value: float | None = 30.0, revision: int = 1
) -> dict[str, Any]:
    """Return a trade's price far from the others; without a value: no longer."""
    return {
        "symbol": symbol,
        "source": "simulator",
        "rule": "trade_price",
        "subject": subject,
        "detail": "median 10.0",
        "value": value,
        "threshold": 25.0,
        "simulated": True,
        "session_date": moment.date(),
        "event_at": moment,
        "revision": revision,
        "as_of": moment + timedelta(seconds=1),
        "computed_at": LANDED_AT,
    }
