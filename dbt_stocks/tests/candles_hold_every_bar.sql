{{ config(meta={'dimension': 'completeness'}) }}

-- Every minute has its candle, every day its own, and every candle that has a window the window.
with

candles as (select * from {{ ref('gold_candlestick') }}),

windows as (select * from {{ ref('gold_intraday_window_metrics') }}),

minute_bars as (select * from {{ ref('silver_minute_bars') }}),

daily_bars as (select * from {{ ref('silver_daily_bars') }}),

lost_minutes as (
    select
        minute_bars.instrument_id,
        '1m' as candle_interval,
        minute_bars.start_at as bar_start_at
    from minute_bars
    left join candles
        on
            minute_bars.instrument_id = candles.instrument_id
            and minute_bars.start_at = candles.bar_start_at
            and candles.candle_interval = '1m'
    where
        minute_bars.open_price is not null
        and (
            candles.instrument_id is null
            or candles.close_price <> minute_bars.close_price
            or candles.volume_shares <> minute_bars.volume_shares
        )
),

lost_days as (
    select
        daily_bars.instrument_id,
        '1d' as candle_interval,
        daily_bars.open_at as bar_start_at
    from daily_bars
    left join candles
        on
            daily_bars.instrument_id = candles.instrument_id
            and daily_bars.open_at = candles.bar_start_at
            and candles.candle_interval = '1d'
    where
        candles.instrument_id is null
        or (
            candles.made_of = 'daily_bars'
            and candles.simulated = daily_bars.simulated
            and (
                candles.close_price <> daily_bars.close_price
                or candles.volume_shares <> daily_bars.volume_shares
            )
        )
),

lost_windows as (
    select
        candles.instrument_id,
        candles.candle_interval,
        candles.bar_start_at
    from candles
    left join windows
        on
            candles.instrument_id = windows.instrument_id
            and candles.candle_interval = windows.window_size
            and candles.bar_start_at = windows.window_start_at
    where
        candles.candle_interval in ('5m', '15m', '1h')
        and windows.instrument_id is null
),

lost as (
    select * from lost_minutes
    union all
    select * from lost_days
    union all
    select * from lost_windows
)

select * from lost
