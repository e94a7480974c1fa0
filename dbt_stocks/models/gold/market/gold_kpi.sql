with

prices as (select * from {{ ref('silver_latest_prices') }}),

metrics as (select * from {{ ref('gold_daily_metrics') }}),

splits as (select * from {{ ref('silver_splits') }}),

instruments as (select * from {{ ref('dim_instrument') }}),

sessions as (select * from {{ ref('sessions') }}),

market as (select * from {{ ref('silver_market_clock') }}),

-- Who has a symbol today; it is the one shown, whatever the last bar was traded under.
active as (
    select
        instruments.instrument_id,
        instruments.symbol,
        instruments.currency,
        market.market_state,
        market.expected_session_number,
        market.now_at
    from instruments
    inner join market
        on
            instruments.valid_from <= market.session_date
            and coalesce(instruments.valid_to, cast('9999-12-31' as date))
            >= market.session_date
),

-- A quote of the ex-date is in new shares, the year before it in old ones.
splits_since as (
    select
        prices.instrument_id,
        round(exp(sum(ln(cast(splits.split_ratio as double)))), 12)
            as split_factor
    from prices
    inner join splits
        on
            prices.instrument_id = splits.instrument_id
            and prices.bar_session_date < splits.ex_date
            and prices.session_date >= splits.ex_date
            and (prices.simulated or not splits.simulated)
    group by prices.instrument_id
),

last_bars as (
    select
        metrics.instrument_id,
        -- Over a session without a bar the change would be of two days, under the name of one.
        case
            when metrics.n_sessions_since_previous = 1
                then metrics.previous_close_price
        end as previous_close_price,
        metrics.split_ratio,
        metrics.n_final_bars >= least(metrics.bar_number, 253)
            as are_bars_final,
        metrics.dollar_volume_avg_20d,
        previous_bars.dollar_volume_avg_20d as dollar_volume_avg_prior_20d,
        metrics.high_52w_price / coalesce(splits_since.split_factor, 1)
            as high_52w,
        metrics.low_52w_price / coalesce(splits_since.split_factor, 1)
            as low_52w
    from prices
    inner join metrics
        on
            prices.instrument_id = metrics.instrument_id
            and prices.bar_session_date = metrics.session_date
    left join metrics as previous_bars
        on
            metrics.instrument_id = previous_bars.instrument_id
            and metrics.previous_bar_date = previous_bars.session_date
    left join splits_since on prices.instrument_id = splits_since.instrument_id
),

compared as (
    select
        active.symbol,
        active.currency,
        active.market_state,
        active.now_at,
        prices.*,
        case
            when prices.price_kind = 'quote' then prices.previous_close_price
            else
                cast(
                    cast(last_bars.previous_close_price as double)
                    / last_bars.split_ratio
                    as decimal(18, 6)
                )
        end as close_before,
        last_bars.are_bars_final,
        last_bars.dollar_volume_avg_20d,
        -- Of the 20 bars before the session of the price.
        case
            when prices.session_date > prices.bar_session_date
                then last_bars.dollar_volume_avg_20d
            else last_bars.dollar_volume_avg_prior_20d
        end as dollar_volume_before,
        cast(
            case
                when last_bars.high_52w is not null
                    then
                        greatest(
                            last_bars.high_52w,
                            coalesce(prices.high_price, prices.current_price),
                            prices.current_price
                        )
            end as decimal(18, 6)
        ) as high_52w_price,
        cast(
            case
                when last_bars.low_52w is not null
                    then
                        least(
                            last_bars.low_52w,
                            coalesce(prices.low_price, prices.current_price),
                            prices.current_price
                        )
            end as decimal(18, 6)
        ) as low_52w_price,
        case
            when sessions.session_number >= active.expected_session_number
                then 0
            else active.expected_session_number - sessions.session_number
        end as sessions_behind
    from active
    inner join prices on active.instrument_id = prices.instrument_id
    left join sessions on prices.session_date = sessions.session_date
    left join last_bars on prices.instrument_id = last_bars.instrument_id
),

kpi as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        price_kind,
        market_state,
        {{ build_id() }} as build_id,
        current_price,
        close_before as previous_close_price,
        cast(current_price - close_before as decimal(18, 6)) as change_price,
        (
            cast(current_price as double)
            / nullif(cast(close_before as double), 0)
            - 1
        ) * 100 as change_pct,
        open_price as day_open_price,
        high_price as day_high_price,
        low_price as day_low_price,
        volume_shares,
        dollar_volume_avg_20d,
        cast(current_price as double) * volume_shares
        / nullif(dollar_volume_before, 0) as volume_ratio,
        high_52w_price,
        low_52w_price,
        cast(current_price - low_52w_price as double)
        / nullif(cast(high_52w_price - low_52w_price as double), 0)
            as position_52w,
        cast(
            {{ dbt.datediff('price_at', 'now_at', 'second') }} as bigint
        ) as price_age_s,
        cast(
            {{ dbt.datediff('quote_at', 'now_at', 'second') }} as bigint
        ) as quote_age_s,
        cast(sessions_behind as integer) as sessions_behind,
        is_final and coalesce(are_bars_final, false) as is_final,
        simulated,
        session_date,
        price_at,
        as_of
    from compared
)

select * from kpi
