"""Gold as its contract says: empty in memory, or a small published file made for the charts."""

from pathlib import Path

import duckdb

from dashboards.contract import Contract


def create(db: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Create gold's tables without rows."""
    db.execute("create schema gold")
    for name, table in contract.tables.items():
        columns = ", ".join(f'"{c.name}" {c.type_in("duckdb")}' for c in table.columns.values())
        db.execute(f"create table gold.{name} ({columns})")


SESSIONS = 70
INSTRUMENTS = {
    "alpha": ("AAA", "Information Technology"),
    "beta": ("BBB", "Information Technology"),
    "oil": ("OIL", "Energy"),
}
SECTOR = "Information Technology"
"""Of which two instruments are, and one is not."""


def publish(folder: Path, build: str, contract: Contract, shift: float = 0.0) -> None:
    """Publish a build for the charts: real rows, and simulated ones that no chart may mix in.

    ``shift`` is added to every price, so that two builds differ.
    """
    path = folder / f"gold-{build}.duckdb"
    with duckdb.connect(path) as db:
        create(db, contract)
        _instruments(db)
        for simulated in (False, True):
            _daily(db, simulated, shift)
            _market(db, simulated)
            _quality(db, simulated)
        # The feeds were judged on 1 March: one session has closed since, one has not yet.
        db.execute(
            "insert into gold.dim_session by name select close_at::date as session_date,"
            " close_at - interval '6.5 hours' as open_at, close_at"
            " from (values (timestamp '2026-02-27 21:00'), (timestamp '2026-03-02 21:00'),"
            " (timestamp '2126-03-04 21:00')) as t(close_at)"
        )
        db.execute(
            "insert into gold.gold_dq_scorecard by name select * from (values "
            "('old', 'm1', 'validity', 4, 3, 0, 9, 0.25, timestamp '2026-01-01 00:00:00'),"
            "('new', 'm1', 'validity', 4, 1, 1, 2, 0.75, timestamp '2026-01-02 00:00:00'),"
            "('new', 'm2', 'timeliness', 2, 0, 0, 0, 1.0, timestamp '2026-01-02 00:00:00')"
            ") as t(run_id, model_name, dimension, checked, failed, warned, failing_rows, score,"
            " tested_at)"
        )
    link = folder / ".current.tmp"
    link.symlink_to(path.name)
    link.replace(folder / "current")


def _instruments(db: duckdb.DuckDBPyConnection) -> None:
    for one, (symbol, sector) in INSTRUMENTS.items():
        db.execute(
            "insert into gold.dim_instrument by name select ? as instrument_id, ? as symbol,"
            " ? as sector, true as is_current, date '2000-01-01' as valid_from",
            [one, symbol, sector],
        )
    db.execute(
        "create temp table bars as select i.instrument_id, i.symbol, i.sector, s.n,"
        " date '2026-01-05' + cast(s.n as integer) as session_date,"
        " row_number() over (order by i.instrument_id) % 3 + 1 as number"
        " from gold.dim_instrument as i, range(?) as s(n)",
        [SESSIONS],
    )


def _daily(db: duckdb.DuckDBPyConnection, simulated: bool, shift: float) -> None:
    """Insert what is per instrument and session; a simulated row is far from every real one."""
    mark = {"simulated": simulated, "shift": shift + (1000 if simulated else 0)}
    bars = (
        "from (select *, length(instrument_id) * 10 + n * 0.25 + $shift as price,"
        " (n * 7 + length(instrument_id) * 3) % 11 / 100.0 - 0.05 as change from bars)"
    )
    for table, columns in {
        "gold_candlestick": "'1d' as candle_interval, price as open_price, price + 2 as high_price,"
        " price - 1 as low_price, price + 1 as close_price, 1000 + n as volume_shares",
        "gold_movers": "case when change < 0 then 'down' else 'up' end as direction, change as"
        " return_1d, price as close_price, 1.5 as volume_ratio, price * 9 as dollar_volume,"
        " length(instrument_id) as rank",
        "gold_treechart": "sector, price * (1000 + n) as size_dollar_volume, change as return_1d",
        "gold_volatility_rank": "'calm' as regime, 0.1 + abs(change) as volatility_20d,"
        " 0.5 as percentile, length(instrument_id) as volatility_rank, 3 as n_ranked",
        "gold_drawdown": "change - 0.1 as drawdown, -0.2 as max_drawdown",
        "gold_kpi": "'open' as market_state, 'b' as build_id, price as current_price, change as"
        " change_price, change * 100 as change_pct, n as volume_shares, 1.1 as volume_ratio,"
        " 0.4 as position_52w, 0 as sessions_behind, session_date + time '21:00' as price_at",
    }.items():
        latest = f" where n = {SESSIONS - 1}" if table == "gold_kpi" else ""
        db.execute(
            f"insert into gold.{table} by name select instrument_id, symbol, session_date,"
            f" $simulated as simulated, {columns} {bars}{latest}",
            mark,
        )
    db.execute(  # weeks, which no chart of days may show
        "insert into gold.gold_candlestick by name select * replace ('1w' as candle_interval)"
        " from gold.gold_candlestick where candle_interval = '1d' and simulated = $simulated",
        {"simulated": simulated},
    )


def _market(db: duckdb.DuckDBPyConnection, simulated: bool) -> None:
    wild = 500 if simulated else 0
    db.execute(
        "insert into gold.gold_market_breadth by name select universe, session_date, n + $wild"
        " as ad_line, (n % 10) / 10.0 as above_sma_200_share, $simulated as simulated"
        " from (select distinct session_date, n from bars),"
        " (select distinct sector as universe from bars union all select 'all')",
        {"wild": wild, "simulated": simulated},
    )
    db.execute(
        "insert into gold.gold_correlation_matrix by name select a.instrument_id as"
        " instrument_id_a, b.instrument_id as instrument_id_b, a.session_date, w as"
        " window_sessions, w / 1000.0 + a.n / 500.0 + length(b.symbol) / 100.0 as corr, 60 as"
        " n_obs, $simulated as simulated from bars as a, bars as b, (values (63), (252)) as t(w)"
        " where a.instrument_id < b.instrument_id and a.n = b.n and a.n in (40, 60)",
        {"simulated": simulated},
    )


def _quality(db: duckdb.DuckDBPyConnection, simulated: bool) -> None:
    mark = {"simulated": simulated}
    db.execute(
        "insert into gold.gold_freshness by name select 'feed of ' || number as source,"
        " 'daily_bars' as feed, case number when 1 then 'stale'"
        " when 2 then 'unscheduled' else 'ok' end as status,"
        " number as lag_sessions, number * 60 as lag_open_s, timestamp '2026-03-01 20:00' as"
        " last_event_at, timestamp '2026-03-01 21:00' as checked_at, $simulated as simulated"
        " from (select distinct number from bars)",
        mark,
    )
    db.execute(
        "insert into gold.gold_source_reconciliation by name select instrument_id, symbol,"
        " session_date, 'a' as source_a, 'b' as source_b, case n % 5 when 0 then 'close_differs'"
        " when 1 then 'not_comparable' else 'agree' end as status, n as close_diff_bp, 10 as"
        " close_price_a, 10.5 as close_price_b, 0.9 as volume_ratio, $simulated as simulated"
        " from bars where n < 12",
        mark,
    )
    db.execute(
        "insert into gold.gold_anomalies by name select instrument_id, symbol, session_date,"
        " 'price_jump' as rule, 'bar' as subject, 'd' as detail, n / 8.0 as value, 0.5 as"
        " threshold, 'fraction' as value_unit, session_date + time '15:00' as event_at,"
        " $simulated as simulated from bars where n in (3, 5)",
        mark,
    )
