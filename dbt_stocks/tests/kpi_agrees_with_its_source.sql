{{ config(severity='warn') }}

-- A source's own change, in price and in percent, against the one shown: 1e-4 of the previous
-- close, or a cent where the source rounds to one.
with

kpi as (select * from {{ ref('gold_kpi') }}),

quotes as (select * from {{ ref('silver_last_quotes') }}),

different as (
    select
        kpi.symbol,
        kpi.change_price,
        quotes.change_price as source_change_price,
        kpi.change_pct,
        quotes.change_pct as source_change_pct
    from kpi
    inner join quotes on kpi.instrument_id = quotes.instrument_id
    where
        kpi.price_kind = 'quote'
        and (
            abs(kpi.change_pct - quotes.change_pct) > 1e-4 * 100
            or abs(kpi.change_price - quotes.change_price)
            > greatest(
                kpi.previous_close_price * 1e-4,
                {{ var('quote_change_tolerance') }}
            )
        )
)

select * from different
