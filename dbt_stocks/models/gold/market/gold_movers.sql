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

-- A rank depends on everybody's bar and the 20 before: it is final when all are. Real shares are
-- ranked among real ones, made-up ones among themselves.
session_bars as (
    select
        metrics.instrument_id,
        metrics.symbol,
        metrics.source,
        metrics.currency,
        metrics.close_price,
        metrics.return_1d,
        metrics.dollar_volume,
        metrics.previous_bar_date,
        metrics.simulated,
        metrics.session_date,
        changed_sessions.load_batch_id,
        min(
            case
                when metrics.n_final_bars >= least(metrics.bar_number, 21) then 1
                else 0
            end
        ) over (
            partition by metrics.session_date, metrics.simulated
        ) = 1 as is_final,
        max(metrics.as_of) over (
            partition by metrics.session_date, metrics.simulated
        ) as as_of
    from metrics
    inner join changed_sessions
        on metrics.session_date = changed_sessions.session_date
),

-- Of the bars before the session: a day of frenzy does not make a share liquid.
with_liquidity as (
    select
        session_bars.*,
        previous_bars.dollar_volume_avg_20d as dollar_volume_avg_prior_20d
    from session_bars
    inner join metrics as previous_bars
        on
            session_bars.instrument_id = previous_bars.instrument_id
            and session_bars.previous_bar_date = previous_bars.session_date
),

moved as (
    select
        *,
        case when return_1d > 0 then 'up' else 'down' end as direction,
        dollar_volume / nullif(dollar_volume_avg_prior_20d, 0) as volume_ratio
    from with_liquidity
    where
        return_1d <> 0
        and dollar_volume_avg_prior_20d >= {{ var('movers_min_dollar_volume') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by session_date, simulated, direction
            order by abs(return_1d) desc, instrument_id asc
        ) as mover_rank
    from moved
),

movers as (
    select
        instrument_id,
        symbol,
        direction,
        source,
        currency,
        {{ build_id() }} as build_id,
        cast(mover_rank as integer) as rank,
        close_price,
        return_1d,
        dollar_volume,
        dollar_volume_avg_prior_20d,
        volume_ratio,
        load_batch_id,
        is_final,
        simulated,
        session_date,
        as_of
    from ranked
    where mover_rank <= {{ var('movers_per_direction') }}
)

select * from movers
