{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['symbol', 'window_1h_end'],
        on_schema_change='fail',
    )
}}

with

revisions as (select * from {{ ref('silver_windows') }}),

touched_windows as (
    select
        symbol,
        window_end_at
    from revisions
    where batch_id >= {{ window_start_batch() }}
    group by symbol, window_end_at
),

candidates as (
    select revisions.*
    from revisions
    inner join touched_windows
        on
            revisions.symbol = touched_windows.symbol
            and revisions.window_end_at = touched_windows.window_end_at
),

ranked as (
    select
        *,
        row_number() over (
            partition by symbol, window_end_at
            order by
                simulated,
                {{ source_rank() }},
                source,
                revision desc
        ) as preference
    from candidates
),

latest as (
    select
        symbol,
        source,
        {{ build_id() }} as build_id,
        ma_15m,
        ma_1h,
        volatility_15m,
        volatility_1h,
        return_volatility_15m,
        return_volatility_1h,
        vwap_15m,
        vwap_1h,
        volume_sum_15m,
        volume_sum_1h,
        n_obs_15m,
        n_obs_1h,
        coverage_15m,
        coverage_1h,
        ma_5_periods,
        ma_15_periods,
        ma_30_periods,
        revision,
        batch_id,
        is_partial_15m,
        is_partial_1h,
        simulated,
        -- A row of a lake that did not say so yet.
        coalesce(is_final, false) as is_final,
        session_date,
        window_15m_start_at as window_start,
        window_1h_start_at as window_1h_start,
        window_end_at as window_15m_end,
        window_end_at as window_1h_end,
        computed_at as processing_time,
        loaded_at as ingestion_time,
        as_of
    from ranked
    where preference = 1
)

select * from latest
