{%- set instrument_bars = 'partition by instrument_id order by session_date' %}
{%- set last_20_bars = instrument_bars ~ ' rows between 19 preceding and current row' %}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

with_actions as (
    select
        bars.*,
        coalesce(actions.split_ratio, 1) as split_ratio,
        coalesce(actions.dividend_amount, 0) as dividend_amount
    from bars
    left join actions
        on
            bars.instrument_id = actions.instrument_id
            and bars.session_date = actions.session_date
            and (bars.simulated or not actions.simulated)
),

with_previous as (
    select
        *,
        lag(close_price) over ({{ instrument_bars }}) as previous_close_price,
        lag(session_date) over ({{ instrument_bars }}) as previous_bar_date,
        session_number - lag(session_number) over ({{ instrument_bars }})
            as n_sessions_since_previous
    from with_actions
),

-- The previous close on today's basis. A one-day return needs the session before: over a halt it
-- would cover several days under the name of one.
with_base as (
    select
        *,
        case
            when n_sessions_since_previous = 1
                then cast(previous_close_price as double)
        end as base_close,
        cast(split_ratio as double) as ratio,
        cast(dividend_amount as double) as dividend,
        cast(close_price as double) as close_value,
        cast(open_price as double) as open_value
    from with_previous
),

with_returns as (
    select
        *,
        close_value * ratio / nullif(base_close, 0) - 1 as price_return_1d,
        close_value * ratio / nullif(base_close - dividend * ratio, 0) - 1
            as return_1d,
        ln(
            close_value * ratio
            / nullif(greatest(base_close - dividend * ratio, 0), 0)
        ) as return_1d_log,
        open_value * ratio / nullif(base_close, 0) - 1 as gap_return,
        close_value * volume_shares as dollar_volume
    from with_base
),

with_history as (
    select
        *,
        case
            when count(return_1d_log) over ({{ last_20_bars }}) = 20
                then stddev_samp(return_1d_log) over ({{ last_20_bars }}) * sqrt(252)
        end as volatility_20d,
        case
            when count(*) over ({{ last_20_bars }}) = 20
                then avg(dollar_volume) over ({{ last_20_bars }})
        end as dollar_volume_avg_20d
    from with_returns
),

metrics as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        {{ build_id() }} as build_id,
        open_price,
        high_price,
        low_price,
        close_price,
        close_price_vendor_adj,
        previous_close_price,
        volume_shares,
        split_ratio,
        dividend_amount,
        price_return_1d,
        return_1d,
        return_1d_log,
        gap_return,
        cast(high_price - low_price as decimal(18, 6)) as range_price,
        dollar_volume,
        dollar_volume_avg_20d,
        volatility_20d,
        n_sessions_since_previous,
        is_final,
        simulated,
        session_date,
        previous_bar_date,
        open_at,
        close_at,
        as_of
    from with_history
)

select * from metrics
