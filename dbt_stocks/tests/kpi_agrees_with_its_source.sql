{{ config(severity='warn') }}

-- A source's own change in percent, which no rule of silver reads, against the one shown.
with

kpi as (select * from {{ ref('gold_kpi') }}),

quotes as (select * from {{ ref('silver_last_quotes') }}),

different as (
    select
        kpi.symbol,
        kpi.change_pct,
        quotes.change_pct as source_change_pct
    from kpi
    inner join quotes on kpi.instrument_id = quotes.instrument_id
    where
        kpi.price_kind = 'quote'
        and abs(kpi.change_pct - quotes.change_pct) > 1e-4 * 100
)

select * from different
