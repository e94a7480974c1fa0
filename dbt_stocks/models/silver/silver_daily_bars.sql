{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_bars') }}),

sessions as (select * from {{ ref('sessions') }}),

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
        instrument_id,
        symbol,
        source,
        currency,
        cast(open_price as decimal(18, 6)) as open_price,
        cast(high_price as decimal(18, 6)) as high_price,
        cast(low_price as decimal(18, 6)) as low_price,
        cast(close_price as decimal(18, 6)) as close_price,
        cast(close_price_vendor_adj as decimal(18, 6))
            as close_price_vendor_adj,
        volume_shares,
        session_number,
        is_final,
        simulated,
        session_date,
        open_at,
        close_at,
        as_of
    from ranked
    where preference = 1
)

select * from preferred
