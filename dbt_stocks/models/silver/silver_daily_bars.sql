{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

with

bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

splits_told as (
    select
        instrument_id,
        max(batch_id) as batch_id
    from actions
    where action_type = 'split'
    group by instrument_id
),

-- A split that is told of makes every day new of which a source gave the prices adjusted.
touched_days as (
    select
        instrument_id,
        session_date
    from bars
    where bar_interval = '1d' and batch_id >= {{ window_start_batch() }}
    union
    select
        bars.instrument_id,
        bars.session_date
    from bars
    inner join splits_told on bars.instrument_id = splits_told.instrument_id
    where
        bars.bar_interval = '1d'
        and bars.adjustment = 'split'
        and splits_told.batch_id >= {{ window_start_batch() }}
),

candidates as (
    select
        bars.*,
        sessions.session_number,
        sessions.open_at,
        sessions.close_at,
        greatest(
            bars.batch_id,
            case
                when bars.adjustment = 'split'
                    then coalesce(splits_told.batch_id, 0)
                else 0
            end
        ) as known_batch_id
    from bars
    inner join touched_days
        on
            bars.instrument_id = touched_days.instrument_id
            and bars.session_date = touched_days.session_date
    inner join sessions on bars.session_date = sessions.session_date
    left join splits_told on bars.instrument_id = splits_told.instrument_id
    where bars.is_current and bars.bar_interval = '1d'
),

-- A finished bar of any source stands before one that was still forming when it was fetched.
ranked as (
    select
        *,
        row_number() over (
            partition by instrument_id, session_date
            order by
                simulated,
                is_final desc,
                {{ source_rank() }},
                source,
                as_of desc
        ) as preference,
        max(known_batch_id) over (
            partition by instrument_id, session_date
        ) as day_batch_id
    from candidates
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
            and ranked.as_of = factors.as_of
    where ranked.preference = 1
),

as_traded as (
    select
        event_id,
        instrument_id,
        symbol,
        source,
        currency,
        adjustment as source_adjustment,
        {%- for price in ['open_price', 'high_price', 'low_price', 'close_price'] %}
        {{ as_traded(price) }} as {{ price }},
        {%- endfor %}
        cast(close_price_vendor_adj as decimal(18, 6))
            as close_price_vendor_adj,
        split_factor as source_split_factor,
        {{ volume_as_traded('volume_shares') }} as volume_shares,
        session_number,
        is_final,
        simulated,
        session_date,
        open_at,
        close_at,
        as_of,
        day_batch_id as batch_id
    from preferred
)

select * from as_traded
