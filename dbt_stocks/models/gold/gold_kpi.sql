with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

quotes as (select * from {{ ref('silver_quotes') }}),

instruments as (select * from {{ ref('dim_instrument') }}),

sessions as (select * from {{ ref('sessions') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

bars_by_age as (
    select
        *,
        row_number() over (
            partition by instrument_id order by session_date desc
        ) as age_rank
    from metrics
),

last_bars as (
    select * from bars_by_age
    where age_rank = 1
),

-- Before and after hours the day's open, high and low are another session's than the price.
quotes_by_age as (
    select
        *,
        row_number() over (
            partition by instrument_id
            order by
                event_at desc,
                simulated,
                {{ source_rank() }},
                source
        ) as age_rank
    from quotes
    where not is_extended_hours
),

last_quotes as (
    select * from quotes_by_age
    where age_rank = 1
),

currencies as (
    select
        instrument_id,
        max(currency) as currency
    from instruments
    where is_current
    group by instrument_id
),

market as (
    select
        clock.now_at,
        case
            when sessions.session_date is null then 'closed'
            when clock.now_at < sessions.open_at then 'pre'
            when clock.now_at < sessions.close_at then 'open'
            else 'post'
        end as market_state
    from clock
    left join sessions
        on
            clock.now_at >= sessions.day_start_at
            and clock.now_at < sessions.day_end_at
),

known as (
    select
        coalesce(last_bars.instrument_id, last_quotes.instrument_id)
            as instrument_id,
        last_bars.symbol as bar_symbol,
        last_bars.source as bar_source,
        last_bars.open_price as bar_open,
        last_bars.high_price as bar_high,
        last_bars.low_price as bar_low,
        last_bars.close_price as bar_close,
        last_bars.previous_close_price as bar_previous_close,
        last_bars.volume_shares as bar_volume,
        last_bars.dollar_volume_avg_20d,
        last_bars.split_ratio,
        last_bars.is_final as bar_is_final,
        last_bars.simulated as bar_simulated,
        last_bars.session_date as bar_session_date,
        last_bars.close_at as bar_close_at,
        last_bars.as_of as bar_as_of,
        last_quotes.symbol as quote_symbol,
        last_quotes.source as quote_source,
        last_quotes.last_price as quote_price,
        last_quotes.open_price as quote_open,
        last_quotes.high_price as quote_high,
        last_quotes.low_price as quote_low,
        last_quotes.previous_close_price as quote_previous_close,
        last_quotes.day_volume_shares as quote_volume,
        last_quotes.simulated as quote_simulated,
        last_quotes.session_date as quote_session_date,
        last_quotes.event_at as quote_at,
        last_quotes.as_of as quote_as_of
    from last_bars
    full outer join last_quotes
        on last_bars.instrument_id = last_quotes.instrument_id
),

-- A bar of a finished session is the exchange's own result: it stands above a quote of that day.
chosen as (
    select
        *,
        coalesce(
            bar_session_date is null
            or quote_session_date > bar_session_date
            or (quote_session_date = bar_session_date and not bar_is_final),
            false
        ) as is_quote
    from known
),

priced as (
    select
        instrument_id,
        dollar_volume_avg_20d,
        is_quote,
        case when is_quote then quote_volume else bar_volume end
            as volume_shares,
        case when is_quote then quote_symbol else bar_symbol end as symbol,
        case when is_quote then quote_source else bar_source end as source,
        case when is_quote then quote_price else bar_close end
            as current_price,
        case
            when is_quote then quote_previous_close
            else
                cast(
                    cast(bar_previous_close as double) / split_ratio
                    as decimal(18, 6)
                )
        end as previous_close_price,
        case when is_quote then quote_open else bar_open end as day_open_price,
        case when is_quote then quote_high else bar_high end as day_high_price,
        case when is_quote then quote_low else bar_low end as day_low_price,
        case when is_quote then quote_simulated else bar_simulated end
            as simulated,
        case when is_quote then false else bar_is_final end as is_final,
        case when is_quote then quote_session_date else bar_session_date end
            as session_date,
        case when is_quote then quote_at else bar_close_at end as price_at,
        case when is_quote then quote_as_of else bar_as_of end as as_of
    from chosen
),

kpi as (
    select
        priced.instrument_id,
        priced.symbol,
        priced.source,
        currencies.currency,
        case when priced.is_quote then 'quote' else 'bar' end as price_kind,
        market.market_state,
        {{ build_id() }} as build_id,
        priced.current_price,
        priced.previous_close_price,
        cast(
            priced.current_price - priced.previous_close_price
            as decimal(18, 6)
        ) as change_price,
        (
            cast(priced.current_price as double)
            / nullif(cast(priced.previous_close_price as double), 0)
            - 1
        ) * 100 as change_pct,
        priced.day_open_price,
        priced.day_high_price,
        priced.day_low_price,
        priced.volume_shares,
        priced.dollar_volume_avg_20d,
        cast(
            {{ dbt.datediff('priced.price_at', 'market.now_at', 'second') }}
            as bigint
        ) as price_age_s,
        priced.is_final,
        priced.simulated,
        priced.session_date,
        priced.price_at,
        priced.as_of
    from priced
    inner join currencies
        on priced.instrument_id = currencies.instrument_id
    cross join market
)

select * from kpi
