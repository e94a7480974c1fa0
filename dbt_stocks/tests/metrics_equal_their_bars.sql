-- What the lake computed of a bar is what the bar says, at the six decimals that metrics have.
with

shown as (select * from {{ ref('daily_stock_metrics') }}),

metrics as (select * from {{ ref('bronze_daily_stock_metrics') }}),

bars as (select * from {{ ref('silver_bars') }}),

different as (
    select
        shown.symbol,
        shown.session_date
    from shown
    inner join metrics
        on
            shown.bar_event_id = metrics.bar_event_id
            and shown.revision = metrics.revision
    inner join bars on shown.bar_event_id = bars.event_id
    where
        metrics.daily_open <> cast(bars.open_price as decimal(18, 6))
        or metrics.daily_high <> cast(bars.high_price as decimal(18, 6))
        or metrics.daily_low <> cast(bars.low_price as decimal(18, 6))
        or metrics.daily_close <> cast(bars.close_price as decimal(18, 6))
        or metrics.daily_volume <> bars.volume_shares
)

select * from different
