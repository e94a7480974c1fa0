{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='session_date',
        on_schema_change='fail',
        pre_hook='{{ forget_changed_sessions() }}',
    )
}}

with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

indicators as (select * from {{ ref('gold_technical_indicators') }}),

instruments as (select * from {{ ref('dim_instrument') }}),

changed_sessions as (
    {{ changed_sessions() }}
),

-- Real and made-up shares are markets of their own.
-- A mean of equal prices may differ from them in its last bit: that is not above.
-- Who was listed then, and closed both sessions: no name of today is looked up in the past.
members as (
    select
        metrics.source,
        instruments.sector,
        metrics.price_return_1d,
        metrics.volume_shares,
        metrics.close_price > indicators.sma_50 * (1 + 1e-12)
            as is_above_sma_50,
        metrics.close_price > indicators.sma_200 * (1 + 1e-12)
            as is_above_sma_200,
        metrics.high_price * metrics.split_ratio > previous_bars.high_52w_price
            as is_52w_high,
        metrics.low_price * metrics.split_ratio < previous_bars.low_52w_price
            as is_52w_low,
        changed_sessions.load_batch_id,
        -- The year before a session is of 252 bars.
        metrics.n_final_bars >= least(metrics.bar_number, 253) as is_final,
        metrics.simulated,
        metrics.session_date,
        metrics.as_of
    from metrics
    inner join changed_sessions
        on metrics.session_date = changed_sessions.session_date
    inner join indicators
        on
            metrics.instrument_id = indicators.instrument_id
            and metrics.session_date = indicators.session_date
    inner join metrics as previous_bars
        on
            metrics.instrument_id = previous_bars.instrument_id
            and metrics.previous_bar_date = previous_bars.session_date
    inner join instruments
        on
            metrics.instrument_id = instruments.instrument_id
            and metrics.session_date >= instruments.valid_from
            and metrics.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
    where metrics.price_return_1d is not null
),

members_of_universes as (
    select
        *,
        'all' as universe
    from members
    union all
    select
        *,
        sector as universe
    from members
),

counted as (
    select
        universe,
        case when min(source) = max(source) then min(source) else 'several' end
            as source,
        count(*) as n_instruments,
        count(case when price_return_1d > 0 then 1 end) as advancers,
        count(case when price_return_1d < 0 then 1 end) as decliners,
        count(case when price_return_1d = 0 then 1 end) as unchanged,
        count(is_above_sma_50) as n_sma_50,
        count(case when is_above_sma_50 then 1 end) as above_sma_50,
        count(is_above_sma_200) as n_sma_200,
        count(case when is_above_sma_200 then 1 end) as above_sma_200,
        count(is_52w_high) as n_52w,
        count(case when is_52w_high then 1 end) as new_highs,
        count(case when is_52w_low then 1 end) as new_lows,
        sum(case when price_return_1d > 0 then volume_shares else 0 end)
            as up_volume_shares,
        sum(case when price_return_1d < 0 then volume_shares else 0 end)
            as down_volume_shares,
        sum(volume_shares) as volume_shares,
        max(load_batch_id) as load_batch_id,
        min(case when is_final then 1 else 0 end) = 1 as is_final,
        simulated,
        session_date,
        max(as_of) as as_of
    from members_of_universes
    group by session_date, universe, simulated
),

-- Where each universe's line stood before the first session that is computed.
{% if is_incremental() %}
lines_by_age as (
    select
        universe,
        simulated,
        ad_line,
        row_number() over (
            partition by universe, simulated order by session_date desc
        ) as age_rank
    from {{ this }}
    where session_date < (select min(changed_sessions.session_date) from changed_sessions)
),

carried as (
    select
        universe,
        simulated,
        ad_line
    from lines_by_age
    where age_rank = 1
),
{% else %}
carried as (
    select
        universe,
        simulated,
        cast(0 as bigint) as ad_line
    from counted
    where false
),
{% endif %}

breadth as (
    select
        counted.universe,
        counted.source,
        {{ build_id() }} as build_id,
        cast(counted.n_instruments as integer) as n_instruments,
        cast(counted.advancers as integer) as advancers,
        cast(counted.decliners as integer) as decliners,
        cast(counted.unchanged as integer) as unchanged,
        cast(
            coalesce(carried.ad_line, 0)
            + sum(counted.advancers - counted.decliners) over (
                partition by counted.universe, counted.simulated
                order by counted.session_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as ad_line,
        cast(counted.n_sma_50 as integer) as n_sma_50,
        cast(counted.above_sma_50 as double) / nullif(counted.n_sma_50, 0)
            as above_sma_50_share,
        cast(counted.n_sma_200 as integer) as n_sma_200,
        cast(counted.above_sma_200 as double) / nullif(counted.n_sma_200, 0)
            as above_sma_200_share,
        cast(counted.n_52w as integer) as n_52w,
        cast(counted.new_highs as integer) as new_highs,
        cast(counted.new_lows as integer) as new_lows,
        cast(counted.volume_shares as bigint) as volume_shares,
        cast(counted.up_volume_shares as bigint) as up_volume_shares,
        cast(counted.down_volume_shares as bigint) as down_volume_shares,
        counted.load_batch_id,
        counted.is_final,
        counted.simulated,
        counted.session_date,
        counted.as_of
    from counted
    left join carried
        on
            counted.universe = carried.universe
            and counted.simulated = carried.simulated
)

select * from breadth
