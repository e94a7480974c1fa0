{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

splits as (select * from {{ ref('silver_splits') }}),

-- Everything on the basis of the first share, so that no row changes by a split still to come.
factors as (
    select
        bars.instrument_id,
        bars.session_date,
        round(exp(sum(ln(cast(splits.split_ratio as double)))), 9)
            as shares_per_first
    from bars
    inner join splits
        on
            bars.instrument_id = splits.instrument_id
            and bars.session_date >= splits.ex_date
            and (bars.simulated or not splits.simulated)
    group by bars.instrument_id, bars.session_date
),

on_one_basis as (
    select
        bars.instrument_id,
        bars.session_date,
        coalesce(factors.shares_per_first, 1) as shares_per_first,
        bars.close_price * coalesce(factors.shares_per_first, 1)
            as close_value,
        bars.high_price * coalesce(factors.shares_per_first, 1) as high_value,
        bars.low_price * coalesce(factors.shares_per_first, 1) as low_value
    from bars
    left join factors
        on
            bars.instrument_id = factors.instrument_id
            and bars.session_date = factors.session_date
),

with_windows as (
    select
        *,
        case when count(*) over last_50_bars = 50 then avg(close_value) over last_50_bars end
            as mean_50,
        case when count(*) over last_200_bars = 200 then avg(close_value) over last_200_bars end
            as mean_200,
        case when count(*) over last_252_bars = 252 then max(high_value) over last_252_bars end
            as highest,
        case when count(*) over last_252_bars = 252 then min(low_value) over last_252_bars end
            as lowest
    from on_one_basis
    window
        last_50_bars as (
            partition by instrument_id
            order by session_date
            rows between 49 preceding and current row
        ),
        last_200_bars as (
            partition by instrument_id
            order by session_date
            rows between 199 preceding and current row
        ),
        last_252_bars as (
            partition by instrument_id
            order by session_date
            rows between 251 preceding and current row
        )
),

with_year_before as (
    select
        *,
        lag(highest) over (
            partition by instrument_id order by session_date
        ) as highest_before,
        lag(lowest) over (
            partition by instrument_id order by session_date
        ) as lowest_before
    from with_windows
),

-- A mean of equal prices may differ from them in its last bit: that is not above.
trends as (
    select
        instrument_id,
        cast(highest / shares_per_first as decimal(18, 6)) as high_52w_price,
        cast(lowest / shares_per_first as decimal(18, 6)) as low_52w_price,
        close_value > mean_50 * (1 + 1e-12) as is_above_sma_50,
        close_value > mean_200 * (1 + 1e-12) as is_above_sma_200,
        high_value > highest_before as is_52w_high,
        low_value < lowest_before as is_52w_low,
        session_date
    from with_year_before
)

select * from trends
