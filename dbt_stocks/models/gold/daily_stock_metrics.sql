{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['symbol', 'date'],
        on_schema_change='fail',
    )
}}

with

revisions as (select * from {{ ref('bronze_daily_stock_metrics') }}),

bars as (select * from {{ ref('silver_bars') }}),

-- A metric and its bar may arrive in different batches: either one makes the symbol's day new.
touched_days as (
    select
        symbol,
        session_date
    from revisions
    where batch_id >= {{ window_start_batch('load_batch_id') }}
    union
    select
        symbol,
        session_date
    from bars
    where batch_id >= {{ window_start_batch('load_batch_id') }}
),

-- A metric counts when its bar does: what quarantine holds never gets here.
valid_revisions as (
    select
        revisions.*,
        bars.currency,
        bars.is_final,
        greatest(revisions.batch_id, bars.batch_id) as load_batch_id
    from revisions
    inner join touched_days
        on
            revisions.symbol = touched_days.symbol
            and revisions.session_date = touched_days.session_date
    inner join bars on revisions.bar_event_id = bars.event_id
),

ranked as (
    select
        *,
        row_number() over (
            partition by symbol, session_date
            order by
                simulated,
                {{ source_rank() }},
                source,
                revision desc
        ) as preference
    from valid_revisions
),

latest as (
    select
        symbol,
        source,
        currency,
        bar_event_id,
        {{ build_id() }} as build_id,
        daily_open,
        daily_high,
        daily_low,
        daily_close,
        daily_volume,
        daily_change,
        revision,
        load_batch_id,
        simulated,
        is_final,
        session_date as date,
        session_date,
        computed_at as last_updated,
        as_of
    from ranked
    where preference = 1
)

select * from latest
