"""Real daily bars with their actions, as frames for the oracles and as raw rows for dbt.

Frames have symbol, session_date, open, high, low, close, volume, adj_close (the vendor's),
split_ratio (1 where none) and dividend (0 where none); prices and amounts as traded.
"""

import os
from datetime import date
from typing import Any

import duckdb
import pandas as pd

from ingestion import calendar
from ingestion.contracts.records import BarMessage, CorporateActionMessage
from ingestion.settings import ROOT
from ingestion.sources import stocks_csv
from ingestion.sources.recorded import Recorded
from tests.dbt_stocks.raw import BATCH, GENERATION, RawWarehouse

SP500 = ROOT.parent / "shared" / "data" / "sp500_daily.parquet"
# 1.74 M rows take minutes.
IS_SP500_WANTED = "SP500" in os.environ and SP500.is_file()
NO_SP500 = f"make test-sp500 compares {SP500}, where it is"
_PRICES = ("open", "high", "low", "close", "volume", "adj_close")
# Known 15 minutes after the latest close there is, 21:00 UTC; where a load put it is of no matter.
_ROW = f"""
    '{BATCH}' as topic, '{GENERATION}' as generation, 0 as partition,
    $offset + row_number() over (order by symbol, session_date) as "offset",
    session_date::date as session_date, 'vendor' as source, symbol, 'USD' as currency,
    'test' as run_id, false as simulated,
    session_date::date + interval 1275 minute as as_of, as_of as fetched_at,
    timestamp '2026-11-01 12:00' as kafka_timestamp, kafka_timestamp as compacted_at,
    kafka_timestamp as loaded_at, 'file' as file, $batch as snapshot_id, $batch as batch_id
"""
_BARS = f"""
insert into common.bars_raw by name
select
    {_ROW}, concat('bar ', symbol, ' ', session_date::date) as event_id, 'raw' as adjustment,
    '1d' as interval, open::decimal(18, 6) as open, high::decimal(18, 6) as high,
    low::decimal(18, 6) as low, close::decimal(18, 6) as close, volume::bigint as volume,
    adj_close, session_date::date + interval 870 minute as start_at, start_at as event_at
from frame
"""
_ACTIONS = f"""
insert into common.corporate_actions_raw by name
select
    {_ROW}, concat(type, ' ', symbol, ' ', session_date::date) as event_id, type,
    case type when 'split' then split_ratio end as ratio,
    case type when 'dividend' then dividend end as amount,
    session_date::date as ex_date, as_of as event_at
from frame cross join (values ('split'), ('dividend')) as types (type)
where case type when 'split' then split_ratio <> 1 else dividend > 0 end
"""


def recorded() -> pd.DataFrame:
    """Return the recorded bars (public domain) with the actions that their source tells of."""
    bars: dict[tuple[str, date], dict[str, Any]] = {}
    actions: dict[tuple[str, date], dict[str, Any]] = {}
    source = Recorded(stocks_csv.packaged_file(), calendar.get("XNYS"), "test")
    for message in source.messages():
        if isinstance(message, BarMessage):
            key = (message.symbol, date.fromisoformat(message.data.session_date))
            bars[key] = {name: float(getattr(message.data, name)) for name in _PRICES}
        elif isinstance(message, CorporateActionMessage):
            told = message.data
            kind = {"split": "split_ratio", "dividend": "dividend"}[told.type]
            key = (message.symbol, date.fromisoformat(told.ex_date))
            actions.setdefault(key, {})[kind] = float(told.ratio or told.amount or 0)
    rows = [
        {"symbol": key[0], "session_date": pd.Timestamp(key[1])} | values | actions.get(key, {})
        for key, values in bars.items()
    ]
    frame = pd.DataFrame(rows).fillna({"split_ratio": 1.0, "dividend": 0.0})
    return frame.astype({"session_date": "datetime64[ns]"})


def sp500(symbols: list[str]) -> pd.DataFrame:
    """Return the bars of large caps, 1999 to 2015, of the symbols given."""
    with duckdb.connect() as db:
        return db.execute(
            "select symbol, session_date::timestamp_ns as session_date, open::double as open, "
            "high::double as high, low::double as low, close::double as close, volume, "
            "adjusted_close::double as adj_close, split_coefficient::double as split_ratio, "
            "dividend_amount::double as dividend from read_parquet($path) "
            "where symbol in (select unnest($symbols)) order by all",
            {"path": str(SP500), "symbols": symbols},
        ).df()


def load(raw: RawWarehouse, frame: pd.DataFrame) -> None:
    """Put a frame's bars and actions into the raw batch."""
    with duckdb.connect(raw.path, config={"autoinstall_known_extensions": False}) as db:
        db.register("frame", frame)
        for statement in (_BARS, _ACTIONS):
            offset = raw.offsets.get(BATCH, 0)
            db.execute(statement, {"batch": raw.batch, "offset": offset})
            raw.offsets[BATCH] = offset + 2 * len(frame)
