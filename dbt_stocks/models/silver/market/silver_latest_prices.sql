with

bars as (select * from {{ ref('silver_daily_bars') }}),

last_quotes as (select * from {{ ref('silver_last_quotes') }}),

last_days as (
    select
        instrument_id,
        max(session_date) as session_date
    from bars
    group by instrument_id
),

last_bars as (
    select bars.*
    from bars
    inner join last_days
        on
            bars.instrument_id = last_days.instrument_id
            and bars.session_date = last_days.session_date
),

-- A bar of a finished session is the exchange's own result: it stands above a quote of that day.
known as (
    select
        coalesce(last_bars.instrument_id, last_quotes.instrument_id)
            as instrument_id,
        case
            when
                last_bars.session_date is null
                or last_quotes.session_date > last_bars.session_date
                or (
                    last_quotes.session_date = last_bars.session_date
                    and not last_bars.is_final
                )
                then 'quote'
            else 'bar'
        end as price_kind,
        last_bars.session_date as bar_session_date,
        last_quotes.event_at as quote_at
    from last_bars
    full outer join last_quotes
        on last_bars.instrument_id = last_quotes.instrument_id
),

from_quotes as (
    select
        known.instrument_id,
        last_quotes.source,
        known.price_kind,
        last_quotes.last_price as current_price,
        last_quotes.open_price,
        last_quotes.high_price,
        last_quotes.low_price,
        last_quotes.previous_close_price,
        last_quotes.day_volume_shares as volume_shares,
        false as is_final,
        last_quotes.simulated,
        last_quotes.session_date,
        known.bar_session_date,
        last_quotes.event_at as price_at,
        known.quote_at,
        last_quotes.as_of
    from known
    inner join last_quotes on known.instrument_id = last_quotes.instrument_id
    where known.price_kind = 'quote'
),

-- The price of a bar that was still forming is of when it was fetched.
from_bars as (
    select
        known.instrument_id,
        last_bars.source,
        known.price_kind,
        last_bars.close_price as current_price,
        last_bars.open_price,
        last_bars.high_price,
        last_bars.low_price,
        cast(null as decimal(18, 6)) as previous_close_price,
        last_bars.volume_shares,
        last_bars.is_final,
        last_bars.simulated,
        last_bars.session_date,
        known.bar_session_date,
        least(last_bars.close_at, last_bars.as_of) as price_at,
        known.quote_at,
        last_bars.as_of
    from known
    inner join last_bars on known.instrument_id = last_bars.instrument_id
    where known.price_kind = 'bar'
),

latest_prices as (
    select * from from_quotes
    union all
    select * from from_bars
)

select * from latest_prices
