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

changed_sessions as (
    {{ changed_sessions() }}
),

-- Twelve decimals: what is equal but for the order of a sum must not get two ranks.
volatilities as (
    select
        metrics.instrument_id,
        metrics.symbol,
        metrics.source,
        metrics.volatility_20d,
        round(metrics.volatility_20d, 12) as compared,
        -- 20 returns are of 21 bars.
        metrics.n_final_bars >= 21 as is_final,
        metrics.simulated,
        metrics.session_date,
        metrics.as_of,
        changed_sessions.load_batch_id
    from metrics
    inner join changed_sessions
        on metrics.session_date = changed_sessions.session_date
    where metrics.volatility_20d is not null
),

-- Real shares are ranked among real ones, made-up ones among themselves.
ranked as (
    select
        *,
        rank() over (
            partition by session_date, simulated order by compared desc
        ) as rank_from_top,
        percent_rank() over (
            partition by session_date, simulated order by compared
        ) as percentile,
        count(*) over (partition by session_date, simulated) as n_ranked,
        min(case when is_final then 1 else 0 end) over (
            partition by session_date, simulated
        ) = 1 as is_session_final,
        max(as_of) over (partition by session_date, simulated)
            as session_as_of
    from volatilities
),

volatility_ranks as (
    select
        instrument_id,
        symbol,
        source,
        case
            when volatility_20d < {{ var('volatility_regimes')[0] }} then 'calm'
            when volatility_20d < {{ var('volatility_regimes')[1] }} then 'normal'
            when volatility_20d < {{ var('volatility_regimes')[2] }} then 'elevated'
            else 'extreme'
        end as regime,
        {{ build_id() }} as build_id,
        volatility_20d,
        percentile,
        cast(rank_from_top as integer) as volatility_rank,
        cast(n_ranked as integer) as n_ranked,
        load_batch_id,
        is_session_final as is_final,
        simulated,
        session_date,
        session_as_of as as_of
    from ranked
)

select * from volatility_ranks
