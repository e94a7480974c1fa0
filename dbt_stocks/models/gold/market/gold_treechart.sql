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

instruments as (select * from {{ ref('dim_instrument') }}),

changed_sessions as (
    {{ changed_sessions() }}
),

tiles as (
    select
        metrics.instrument_id,
        metrics.symbol,
        instruments.name,
        instruments.sector,
        instruments.industry,
        metrics.source,
        metrics.currency,
        {{ build_id() }} as build_id,
        metrics.close_price,
        metrics.volume_shares,
        metrics.dollar_volume as size_dollar_volume,
        metrics.return_1d,
        metrics.volatility_20d,
        changed_sessions.load_batch_id,
        -- Its volatility is of 21 bars.
        metrics.n_final_bars >= least(metrics.bar_number, 21) as is_final,
        metrics.simulated,
        metrics.session_date,
        metrics.as_of
    from metrics
    inner join changed_sessions
        on metrics.session_date = changed_sessions.session_date
    inner join instruments
        on
            metrics.instrument_id = instruments.instrument_id
            and metrics.session_date >= instruments.valid_from
            and metrics.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
)

select * from tiles
