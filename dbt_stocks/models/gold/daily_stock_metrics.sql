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

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

new_splits as (
    select instrument_id
    from actions
    where
        action_type = 'split'
        and batch_id >= {{ window_start_batch() }}
    group by instrument_id
),

-- A metric and its bar may arrive in different batches: either one makes the symbol's day new. So
-- does a split, for all days of which the prices are adjusted: another telling of it may have held
-- later.
touched_days as (
    select
        symbol,
        session_date
    from revisions
    where batch_id >= {{ window_start_batch() }}
    union
    select
        symbol,
        session_date
    from bars
    where batch_id >= {{ window_start_batch() }}
    union
    select
        bars.symbol,
        bars.session_date
    from bars
    inner join new_splits on bars.instrument_id = new_splits.instrument_id
    where bars.adjustment = 'split'
),

-- A metric counts when its bar does: what quarantine holds never gets here.
valid_revisions as (
    select
        revisions.symbol,
        revisions.source,
        revisions.bar_event_id,
        revisions.daily_change,
        revisions.revision,
        revisions.simulated,
        revisions.session_date,
        revisions.computed_at,
        revisions.as_of,
        bars.instrument_id,
        bars.currency,
        bars.adjustment,
        bars.open_price,
        bars.high_price,
        bars.low_price,
        bars.close_price,
        bars.volume_shares,
        bars.is_final,
        bars.as_of as bar_as_of,
        greatest(revisions.batch_id, bars.batch_id) as load_batch_id
    from revisions
    inner join touched_days
        on
            revisions.symbol = touched_days.symbol
            and revisions.session_date = touched_days.session_date
    inner join bars on revisions.bar_event_id = bars.event_id
),

-- As in silver_daily_bars: a finished bar first, whoever gave it.
ranked as (
    select
        *,
        row_number() over (
            partition by symbol, session_date
            order by
                simulated,
                is_final desc,
                {{ source_rank() }},
                source,
                revision desc
        ) as preference
    from valid_revisions
),

preferred as (
    select
        ranked.*,
        coalesce(factors.split_factor, 1) as split_factor
    from ranked
    left join factors
        on
            ranked.adjustment = 'split'
            and ranked.instrument_id = factors.instrument_id
            and ranked.source = factors.source
            and ranked.simulated = factors.simulated
            and ranked.session_date = factors.session_date
            and ranked.bar_as_of = factors.as_of
    where ranked.preference = 1
),

latest as (
    select
        symbol,
        source,
        currency,
        bar_event_id,
        {{ build_id() }} as build_id,
        {%- for price in ['open', 'high', 'low', 'close'] %}
        {{ as_traded(price ~ '_price') }} as daily_{{ price }},
        {%- endfor %}
        {{ volume_as_traded('volume_shares') }} as daily_volume,
        daily_change,
        revision,
        load_batch_id,
        simulated,
        is_final,
        session_date as date,
        session_date,
        computed_at as last_updated,
        as_of
    from preferred
)

select * from latest
