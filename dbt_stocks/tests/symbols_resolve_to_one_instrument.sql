-- Whoever looks up a bar's symbol and session in the dimension finds its instrument and no other.
-- A period is contiguous, so that the first and the last session stand for all between them.
with

bars as (select * from {{ ref('silver_daily_bars') }}),

instruments as (select * from {{ ref('dim_instrument') }}),

spans as (
    select
        instrument_id,
        symbol,
        min(session_date) as first_date,
        max(session_date) as last_date
    from bars
    group by instrument_id, symbol
),

resolved as (
    select
        spans.instrument_id,
        spans.symbol,
        count(instruments.instrument_id) as n_instruments,
        max(instruments.instrument_id) as found_instrument_id
    from spans
    left join instruments
        on
            spans.symbol = instruments.symbol
            and spans.first_date >= instruments.valid_from
            and spans.last_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
    group by spans.instrument_id, spans.symbol
),

unresolved as (
    select *
    from resolved
    where
        n_instruments <> 1
        or found_instrument_id <> instrument_id
)

select * from unresolved
