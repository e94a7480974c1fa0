with

instruments as (select * from {{ ref('instruments') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

dimension as (
    select
        instruments.instrument_sk,
        instruments.instrument_id,
        instruments.symbol,
        instruments.name,
        instruments.exchange_mic,
        instruments.currency,
        instruments.sector,
        instruments.industry,
        'reference' as source,
        {{ build_id() }} as build_id,
        instruments.is_current,
        false as simulated,
        true as is_final,
        instruments.listed_from,
        instruments.listed_to,
        instruments.valid_from,
        instruments.valid_to,
        clock.now_at as as_of
    from instruments
    cross join clock
)

select * from dimension
