{{ config(severity='warn') }}

-- The lake computes the 15 minutes before each 5-minute end from the trades themselves; those that
-- lie on our grid are the same trades. The auctions are in the session's first and last minute here
-- and in no window there.
with

windows as (select * from {{ ref('gold_intraday_window_metrics') }}),

lake as (select * from {{ ref('realtime_stock_analytics') }}),

sessions as (select * from {{ ref('sessions') }}),

different as (
    select
        windows.instrument_id,
        windows.window_start_at,
        windows.volume_shares,
        lake.volume_sum_15m,
        windows.n_trades,
        lake.n_obs_15m,
        windows.vwap_price,
        lake.vwap_15m
    from windows
    inner join sessions on windows.session_date = sessions.session_date
    inner join lake
        on
            windows.symbol = lake.symbol
            and windows.source = lake.source
            and windows.simulated = lake.simulated
            and windows.window_end_at = lake.window_15m_end
    where
        windows.window_size = '15m'
        and windows.made_of = 'trades'
        and windows.window_start_at > sessions.open_at
        and windows.window_end_at < sessions.close_at
        and (
            windows.volume_shares <> round(lake.volume_sum_15m, 0)
            or windows.n_trades <> lake.n_obs_15m
            or abs(windows.vwap_price - lake.vwap_15m)
            > 1e-9 * lake.vwap_15m
        )
)

select * from different
