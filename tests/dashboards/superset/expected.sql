-- What each chart has to show, written on gold by itself: no part of it is the bundle's.
-- Of a chart over time: its axis, its series, its value; of the others: the columns it shows.

-- chart: advance_decline
select session_date, universe, ad_line from gold.gold_market_breadth where simulated = false

-- chart: above_mean
select session_date, universe, above_sma_200_share from gold.gold_market_breadth where simulated = false

-- chart: volatility
select session_date, symbol, volatility_20d from gold.gold_volatility_rank where simulated = false

-- chart: drawdowns
select session_date, symbol, drawdown from gold.gold_drawdown where simulated = false

-- chart: candle
select session_date, unnest(['high', 'low', 'close', 'volume']),
    unnest([high_price, low_price, close_price, cast(volume_shares as double)])
from gold.gold_candlestick
where simulated = false and candle_interval = '1d' and symbol = 'AAA'

-- chart: kpi
select symbol, session_date, current_price, change_price, change_pct, volume_shares, volume_ratio, position_52w,
    sessions_behind, market_state
from gold.gold_kpi where simulated = false

-- chart: movers
select direction, rank, symbol, return_1d, close_price, volume_ratio, session_date
from gold.gold_movers where simulated = false and session_date = date '2026-03-15' and rank <= 10

-- chart: treemap
select sector, symbol, size_dollar_volume as dollar_volume
from gold.gold_treechart where simulated = false and session_date = date '2026-03-15'

-- chart: volatility_rank
select volatility_rank, symbol, volatility_20d, percentile, regime, session_date
from gold.gold_volatility_rank where simulated = false and session_date = date '2026-03-15'

-- chart: correlations
select x.symbol as symbol_a, y.symbol as symbol_b, m.corr as correlation
from gold.gold_correlation_matrix as m, gold.dim_instrument as x, gold.dim_instrument as y
where m.simulated = false and m.window_sessions = 63 and m.session_date = date '2026-03-06'
    and [m.instrument_id_a, m.instrument_id_b] in ([x.instrument_id, y.instrument_id], [y.instrument_id, x.instrument_id])

-- chart: checks
select sum(checked) as checks from gold.gold_dq_scorecard where run_id = 'new'

-- chart: failed_checks
select sum(failed) as failed from gold.gold_dq_scorecard where run_id = 'new'

-- chart: feeds_behind
select count(*) as feeds_behind from gold.gold_freshness where status = 'stale'

-- chart: sessions_since
select count(*) as sessions_since from gold.dim_session where session_date = date '2026-03-02'

-- chart: disagreements
select count(*) as disagreements from gold.gold_source_reconciliation where status like '%differ%'

-- chart: scorecard
select dimension, sum(checked) as checks, sum(failed) as failed, sum(warned) as warned, sum(failing_rows) as failing_rows,
    1 - sum(failed) / sum(checked) as score
from gold.gold_dq_scorecard where run_id = 'new' group by dimension

-- chart: weakest_models
select model_name, sum(checked) as checks, sum(failed) as failed, sum(failing_rows) as failing_rows,
    1 - sum(failed) / sum(checked) as score
from gold.gold_dq_scorecard where run_id = 'new' group by model_name

-- chart: freshness
select status, source, feed, if(simulated, 'simulated', 'real') as data_kind, lag_sessions, lag_open_s,
    case when not simulated and status <> 'unscheduled' then 6.5 * 3600 end as open_s_since, last_event_at, checked_at
from gold.gold_freshness

-- chart: reconciliation
select source_a, source_b, if(simulated, 'simulated', 'real') as data_kind, status, count(*) as bars
from gold.gold_source_reconciliation group by all

-- chart: reconciliation_rows
select session_date, symbol, if(simulated, 'simulated', 'real') as data_kind, source_a, source_b, status, close_price_a,
    close_price_b, close_diff_bp, volume_ratio
from gold.gold_source_reconciliation where status like '%differ%'

-- chart: anomalies
select event_at, symbol, if(simulated, 'simulated', 'real') as data_kind, rule, subject, value, threshold, value_unit, detail
from gold.gold_anomalies
