{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date', 'source', 'simulated'],
        on_schema_change='fail',
    )
}}

with

bars as (select * from {{ ref('silver_bars') }}),

touched as (
    select
        instrument_id,
        session_date,
        source,
        simulated
    from bars
    where
        bar_interval = '1d'
        and batch_id >= {{ window_start_batch() }}
    group by instrument_id, session_date, source, simulated
),

-- Of two revisions that state the same as_of, the one that silver counts later is what was known.
revisions as (
    select
        bars.*,
        row_number() over (
            partition by
                bars.instrument_id,
                bars.session_date,
                bars.source,
                bars.simulated,
                bars.as_of
            order by bars.revision desc
        ) as instant_rank
    from bars
    inner join touched
        on
            bars.instrument_id = touched.instrument_id
            and bars.session_date = touched.session_date
            and bars.source = touched.source
            and bars.simulated = touched.simulated
    where bars.bar_interval = '1d'
),

known as (
    select
        *,
        lead(as_of) over (
            partition by instrument_id, session_date, source, simulated
            order by as_of
        ) as valid_to
    from revisions
    where instant_rank = 1
),

history as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        adjustment as source_adjustment,
        {{ build_id() }} as build_id,
        {%- for price in ['open_price', 'high_price', 'low_price', 'close_price'] %}
        cast({{ price }} as decimal(18, 6)) as {{ price }},
        {%- endfor %}
        cast(close_price_vendor_adj as decimal(18, 6))
            as close_price_vendor_adj,
        volume_shares,
        cast(revision as integer) as revision,
        batch_id as load_batch_id,
        valid_to is null as is_current,
        is_final,
        simulated,
        session_date,
        as_of as valid_from,
        valid_to,
        as_of
    from known
)

select * from history
