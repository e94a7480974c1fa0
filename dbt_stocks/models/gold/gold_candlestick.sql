with

bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

sessions_in_weeks as (
    select
        *,
        cast({{ dbt.date_trunc('week', 'session_date') }} as date)
            as week_start_date
    from sessions
),

weeks as (
    select
        week_start_date,
        count(*) as n_sessions,
        min(open_at) as open_at,
        max(close_at) as close_at,
        max(session_date) as last_session_date
    from sessions_in_weeks
    group by week_start_date
),

daily as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        '1d' as candle_interval,
        open_price,
        high_price,
        low_price,
        close_price,
        volume_shares,
        1 as n_sessions,
        1 as n_sessions_expected,
        is_final,
        simulated,
        session_date,
        open_at as bar_start_at,
        close_at as bar_end_at,
        as_of
    from bars
),

bars_in_weeks as (
    select
        *,
        cast({{ dbt.date_trunc('week', 'session_date') }} as date)
            as week_start_date
    from bars
),

-- One candle has one basis, that of the week's last session: a bar before a split in the same week
-- is put on it.
later_splits as (
    select
        bars_in_weeks.instrument_id,
        bars_in_weeks.session_date,
        exp(sum(ln(cast(actions.split_ratio as double)))) as split_factor
    from bars_in_weeks
    inner join actions
        on
            bars_in_weeks.instrument_id = actions.instrument_id
            and bars_in_weeks.session_date < actions.session_date
            and bars_in_weeks.week_start_date
            = cast({{ dbt.date_trunc('week', 'actions.session_date') }} as date)
            and (bars_in_weeks.simulated or not actions.simulated)
    where actions.split_ratio <> 1
    group by bars_in_weeks.instrument_id, bars_in_weeks.session_date
),

on_one_basis as (
    select
        bars_in_weeks.*,
        coalesce(later_splits.split_factor, 1) as split_factor
    from bars_in_weeks
    left join later_splits
        on
            bars_in_weeks.instrument_id = later_splits.instrument_id
            and bars_in_weeks.session_date = later_splits.session_date
),

rebased as (
    select
        *,
        case
            when split_factor = 1 then open_price
            else cast(open_price / split_factor as decimal(18, 6))
        end as open_rebased,
        case
            when split_factor = 1 then high_price
            else cast(high_price / split_factor as decimal(18, 6))
        end as high_rebased,
        case
            when split_factor = 1 then low_price
            else cast(low_price / split_factor as decimal(18, 6))
        end as low_rebased,
        cast(round(volume_shares * split_factor, 0) as bigint)
            as volume_rebased,
        row_number() over (
            partition by instrument_id, week_start_date order by session_date
        ) as number_in_week,
        row_number() over (
            partition by instrument_id, week_start_date
            order by session_date desc
        ) as number_from_end
    from on_one_basis
),

weekly_bars as (
    select
        instrument_id,
        week_start_date,
        max(case when number_from_end = 1 then symbol end) as symbol,
        max(case when number_from_end = 1 then source end) as source,
        max(currency) as currency,
        max(case when number_in_week = 1 then open_rebased end) as open_price,
        max(high_rebased) as high_price,
        min(low_rebased) as low_price,
        max(case when number_from_end = 1 then close_price end) as close_price,
        sum(volume_rebased) as volume_shares,
        count(*) as n_sessions,
        max(case when is_final then session_date end) as last_final_date,
        max(case when simulated then 1 else 0 end) = 1 as simulated,
        max(session_date) as session_date,
        max(as_of) as as_of
    from rebased
    group by instrument_id, week_start_date
),

weekly as (
    select
        weekly_bars.instrument_id,
        weekly_bars.symbol,
        weekly_bars.source,
        weekly_bars.currency,
        '1w' as candle_interval,
        weekly_bars.open_price,
        weekly_bars.high_price,
        weekly_bars.low_price,
        weekly_bars.close_price,
        weekly_bars.volume_shares,
        weekly_bars.n_sessions,
        weeks.n_sessions as n_sessions_expected,
        weekly_bars.simulated,
        weekly_bars.session_date,
        weekly_bars.as_of,
        weeks.open_at as bar_start_at,
        weeks.close_at as bar_end_at,
        coalesce(weekly_bars.last_final_date = weeks.last_session_date, false)
            as is_final
    from weekly_bars
    inner join weeks on weekly_bars.week_start_date = weeks.week_start_date
),

together as (
    select
        {{ candle_columns() }}
    from daily
    union all
    select
        {{ candle_columns() }}
    from weekly
),

candles as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        candle_interval,
        {{ build_id() }} as build_id,
        open_price,
        high_price,
        low_price,
        close_price,
        cast(volume_shares as bigint) as volume_shares,
        cast(n_sessions as integer) as n_sessions,
        cast(n_sessions_expected as integer) as n_sessions_expected,
        n_sessions = n_sessions_expected as is_complete,
        is_final,
        simulated,
        session_date,
        bar_start_at,
        bar_end_at,
        as_of
    from together
)

select * from candles
