-- The bars of each interval hold the same trades: in regular hours the day's bar too.
with

bars as (select * from {{ ref('silver_trade_bars') }}),

intervals as (
    select
        symbol,
        source,
        session_date,
        segment,
        bar_interval,
        sum(n_trades) as n_trades,
        sum(volume_shares) as volume_shares,
        max(high_price) as high_price,
        min(low_price) as low_price
    from bars
    group by symbol, source, session_date, segment, bar_interval
),

segments as (
    select
        symbol,
        source,
        session_date,
        segment,
        count(*) as n_intervals,
        min(n_trades) as fewest_trades,
        max(n_trades) as most_trades,
        min(volume_shares) as least_volume_shares,
        max(volume_shares) as most_volume_shares,
        min(high_price) as lowest_high_price,
        max(high_price) as highest_high_price,
        min(low_price) as lowest_low_price,
        max(low_price) as highest_low_price
    from intervals
    group by symbol, source, session_date, segment
),

different as (
    select *
    from segments
    where
        n_intervals <> case segment when 'regular' then 5 else 4 end
        or fewest_trades <> most_trades
        or least_volume_shares <> most_volume_shares
        or lowest_high_price <> highest_high_price
        or lowest_low_price <> highest_low_price
)

select * from different
