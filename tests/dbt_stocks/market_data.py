"""Real daily bars as frames, and frames put into the raw tables.

Frames have symbol, session_date, open, high, low, close, volume, split_ratio, dividend: as traded,
ratio 1 and dividend 0 where there is none.
"""

from importlib import resources

import duckdb
import pandas as pd

from tests.dbt_stocks.daily_data import SP500
from tests.dbt_stocks.raw import BATCH, GENERATION, RawWarehouse

# Splits in the recorded bars; the file holds none, its adjusted close shows them.
RECORDED_SPLITS = [("AAPL", "2000-06-21", 2), ("AAPL", "2005-02-28", 2), ("MSFT", "2003-02-18", 2)]

_TRANSPORT = f"""
    '{BATCH}' as topic, '{GENERATION}' as generation, 0 as partition,
    $offset + row_number() over (order by symbol, session_date) as "offset",
    timestamp '2026-11-01 12:00' as kafka_timestamp, timestamp '2026-11-01 12:00' as compacted_at,
    'file-' || $batch as file, $batch as snapshot_id, timestamp '2026-11-01 12:00' as loaded_at,
    $batch as batch_id
"""
# Known 15 minutes after the latest close there is, 21:00 UTC; a revision an hour later.
_BARS = f"""
insert into common.bars_raw by name
select
    md5(concat_ws('|', symbol, session_date::varchar, $batch, close::varchar)) as event_id,
    $source as source, symbol, 'USD' as currency, $adjustment as adjustment, '1d' as interval,
    'test' as run_id, open::decimal(18, 6) as open, high::decimal(18, 6) as high,
    low::decimal(18, 6) as low, close::decimal(18, 6) as close, volume::bigint as volume,
    false as simulated, session_date::date as session_date,
    session_date::date + interval 870 minute as event_at,
    event_at as start_at,
    session_date::date + interval 21 hour + interval 15 minute + to_hours($batch) as fetched_at,
    fetched_at as as_of, {_TRANSPORT}
from frame
"""
_ACTIONS = f"""
insert into common.corporate_actions_raw by name
select
    md5(concat_ws('|', symbol, session_date::varchar, $batch, type)) as event_id,
    $source as source, symbol, type, 'USD' as currency, 'test' as run_id,
    case when type = 'split' then value end::decimal(18, 6) as ratio,
    case when type = 'dividend' then value end::decimal(18, 6) as amount,
    false as simulated, session_date::date as ex_date, session_date::date as session_date,
    session_date::date + interval 12 hour + to_hours($batch) as event_at,
    event_at as fetched_at, event_at as as_of, {_TRANSPORT}
from (
    select symbol, session_date, 'split' as type, split_ratio as value from frame
    where split_ratio <> 1
    union all
    select symbol, session_date, 'dividend' as type, dividend as value from frame
    where dividend > 0
)
"""


def recorded() -> pd.DataFrame:
    """Return the recorded bars of five symbols, 2000 to 2013 (public domain)."""
    path = resources.files("bokeh_sampledata") / "_data" / "stocks.csv.gz"
    frame = pd.read_csv(str(path), parse_dates=["Date"])
    frame.columns = [column.lower().replace(" ", "_") for column in frame]
    frame = frame.rename(columns={"ticker": "symbol", "date": "session_date"})
    frame["split_ratio"], frame["dividend"] = 1.0, 0.0
    for symbol, day, ratio in RECORDED_SPLITS:
        rows = (frame.symbol == symbol) & (frame.session_date == day)
        frame.loc[rows, "split_ratio"] = ratio
    return frame.drop(columns="adj_close").dropna()


def sp500(symbols: list[str], since: str) -> pd.DataFrame:
    """Return bars of large caps to 2015, those of the symbols given."""
    with duckdb.connect() as db:
        return db.execute(
            "select symbol, session_date::timestamp_ns as session_date, open::double as open, "
            "high::double as high, low::double as low, close::double as close, volume, "
            "split_coefficient as split_ratio, dividend_amount::double as dividend "
            "from read_parquet($path) where session_date >= $since::date "
            "and symbol in (select unnest($symbols)) order by all",
            {"path": str(SP500), "since": since, "symbols": symbols},
        ).df()


def put_bars(
    raw: RawWarehouse, frame: pd.DataFrame, source: str = "recorded", adjustment: str = "raw"
) -> None:
    """Load the bars of a frame into the raw batch."""
    _insert(raw, frame, _BARS, {"source": source, "adjustment": adjustment})


def put_actions(raw: RawWarehouse, frame: pd.DataFrame, source: str = "recorded") -> None:
    """Load the splits and dividends of a frame into the raw batch."""
    _insert(raw, frame, _ACTIONS, {"source": source})


def _insert(raw: RawWarehouse, frame: pd.DataFrame, sql: str, given: dict[str, str]) -> None:
    offset = raw.offsets.get(BATCH, 0)
    with duckdb.connect(raw.path, config={"autoinstall_known_extensions": False}) as db:
        db.register("frame", frame)
        db.execute(sql, given | {"batch": raw.batch, "offset": offset})
    raw.offsets[BATCH] = offset + 2 * len(frame)  # at most a split and a dividend each
