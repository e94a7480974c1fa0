with

bars as (select * from {{ ref('silver_daily_bars') }}),

last_quotes as (select * from {{ ref('silver_last_quotes') }}),

-- One kind for each instrument: what is made up is asked for only where nothing is real.
kinds as (
    select
        instrument_id,
        simulated
    from bars
    union all
    select
        instrument_id,
        simulated
    from last_quotes
),

preferred_kinds as (
    select
        instrument_id,
        min(case when simulated then 1 else 0 end) = 1 as simulated
    from kinds
    group by instrument_id
),

last_days as (
    select
        bars.instrument_id,
        bars.simulated,
        max(bars.session_date) as session_date
    from bars
    inner join preferred_kinds
        on
            bars.instrument_id = preferred_kinds.instrument_id
            and bars.simulated = preferred_kinds.simulated
    group by bars.instrument_id, bars.simulated
),

last_bars as (
    select bars.*
    from bars
    inner join last_days
        on
            bars.instrument_id = last_days.instrument_id
            and bars.session_date = last_days.session_date
),

quotes_of_kind as (
    select last_quotes.*
    from last_quotes
    inner join preferred_kinds
        on
            last_quotes.instrument_id = preferred_kinds.instrument_id
            and last_quotes.simulated = preferred_kinds.simulated
),

-- A bar of a finished session is the exchange's own result: it stands above a quote of that day.
known as (
    select
        coalesce(last_bars.instrument_id, quotes_of_kind.instrument_id)
            as instrument_id,
        case
            when
                last_bars.session_date is null
                or quotes_of_kind.session_date > last_bars.session_date
                or (
                    quotes_of_kind.session_date = last_bars.session_date
                    and not last_bars.is_final
                )
                then 'quote'
            else 'bar'
        end as price_kind,
        last_bars.session_date as bar_session_date,
        quotes_of_kind.event_at as quote_at
    from last_bars
    full outer join quotes_of_kind
        on last_bars.instrument_id = quotes_of_kind.instrument_id
),

from_quotes as (
    select
        known.instrument_id,
        quotes_of_kind.source,
        known.price_kind,
        quotes_of_kind.last_price as current_price,
        quotes_of_kind.open_price,
        quotes_of_kind.high_price,
        quotes_of_kind.low_price,
        quotes_of_kind.previous_close_price,
        quotes_of_kind.day_volume_shares as volume_shares,
        false as is_final,
        quotes_of_kind.simulated,
        quotes_of_kind.session_date,
        known.bar_session_date,
        quotes_of_kind.event_at as price_at,
        known.quote_at,
        quotes_of_kind.as_of
    from known
    inner join quotes_of_kind on known.instrument_id = quotes_of_kind.instrument_id
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
