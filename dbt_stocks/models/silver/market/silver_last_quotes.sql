with

quotes as (select * from {{ ref('silver_quotes') }}),

-- Before and after hours the day's open, high and low are another session's than the price.
last_moments as (
    select
        instrument_id,
        simulated,
        max(event_at) as event_at
    from quotes
    where not is_extended_hours
    group by instrument_id, simulated
),

-- A made-up quote stands for an instrument that was never really quoted, however new it is.
ranked as (
    select
        quotes.*,
        row_number() over (
            partition by quotes.instrument_id
            order by
                quotes.simulated,
                {{ source_rank('quotes.source') }},
                quotes.source,
                quotes.record_id
        ) as preference
    from quotes
    inner join last_moments
        on
            quotes.instrument_id = last_moments.instrument_id
            and quotes.simulated = last_moments.simulated
            and quotes.event_at = last_moments.event_at
    where not quotes.is_extended_hours
),

last_quotes as (
    select
        instrument_id,
        event_id,
        symbol,
        source,
        last_price,
        open_price,
        high_price,
        low_price,
        previous_close_price,
        change_price,
        change_pct,
        day_volume_shares,
        simulated,
        session_date,
        event_at,
        as_of
    from ranked
    where preference = 1
)

select * from last_quotes
