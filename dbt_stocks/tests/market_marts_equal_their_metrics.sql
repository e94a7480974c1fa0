-- What moves and what is ranked is the bar's own number, and nobody who belongs there is left out.
with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

movers as (select * from {{ ref('gold_movers') }}),

volatility_ranks as (select * from {{ ref('gold_volatility_rank') }}),

different_movers as (
    select
        movers.session_date,
        movers.instrument_id
    from movers
    left join metrics
        on
            movers.instrument_id = metrics.instrument_id
            and movers.session_date = metrics.session_date
    where
        metrics.instrument_id is null
        or movers.return_1d <> metrics.return_1d
        or movers.close_price <> metrics.close_price
        or movers.simulated <> metrics.simulated
),

different_ranks as (
    select
        volatility_ranks.session_date,
        volatility_ranks.instrument_id
    from volatility_ranks
    left join metrics
        on
            volatility_ranks.instrument_id = metrics.instrument_id
            and volatility_ranks.session_date = metrics.session_date
    where
        metrics.instrument_id is null
        or volatility_ranks.volatility_20d <> metrics.volatility_20d
        or volatility_ranks.simulated <> metrics.simulated
),

unranked as (
    select
        metrics.session_date,
        metrics.instrument_id
    from metrics
    left join volatility_ranks
        on
            metrics.instrument_id = volatility_ranks.instrument_id
            and metrics.session_date = volatility_ranks.session_date
    where
        metrics.volatility_20d is not null
        and volatility_ranks.instrument_id is null
),

-- Where somebody has moved up who trades enough, there is a first one.
sessions_moved as (
    select
        metrics.session_date,
        metrics.simulated,
        max(metrics.return_1d) as highest_return
    from metrics
    inner join metrics as previous_bars
        on
            metrics.instrument_id = previous_bars.instrument_id
            and metrics.previous_bar_date = previous_bars.session_date
    where
        metrics.return_1d > 0
        and previous_bars.dollar_volume_avg_20d
        >= {{ var('movers_min_dollar_volume') }}
    group by metrics.session_date, metrics.simulated
),

first_movers as (
    select * from movers
    where direction = 'up' and rank = 1
),

without_a_first as (
    select
        sessions_moved.session_date,
        'highest return' as instrument_id
    from sessions_moved
    left join first_movers
        on
            sessions_moved.session_date = first_movers.session_date
            and sessions_moved.simulated = first_movers.simulated
    where
        first_movers.return_1d is null
        or first_movers.return_1d <> sessions_moved.highest_return
),

different as (
    select * from different_movers
    union all
    select * from different_ranks
    union all
    select * from unranked
    union all
    select * from without_a_first
)

select * from different
