{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_bars') }}),

sessions as (select * from {{ ref('sessions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

-- A finished bar of any source stands before one that was still forming when it was fetched.
ranked as (
    select
        bars.*,
        sessions.session_number,
        sessions.open_at,
        sessions.close_at,
        row_number() over (
            partition by bars.instrument_id, bars.session_date
            order by
                bars.simulated,
                bars.is_final desc,
                {{ source_rank('bars.source') }},
                bars.source,
                bars.as_of desc
        ) as preference
    from bars
    inner join sessions on bars.session_date = sessions.session_date
    where bars.is_current and bars.bar_interval = '1d'
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
        as_of
    from preferred
)

select * from as_traded
