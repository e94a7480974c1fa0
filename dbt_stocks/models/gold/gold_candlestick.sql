{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'candle_interval', 'bar_start_at'],
        on_schema_change='fail',
        cluster_by=['session_date', 'instrument_id'],
        post_hook='{{ keep_order_alone() }}',
        pre_hook='{{ forget_changed_candles() }}',
    )
}}

with

minute_bars as (select * from {{ ref('silver_minute_bars') }}),

daily_bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

touched_weeks as (
    {%- for relation in ['minute_bars', 'daily_bars', 'actions'] %}
    select
        instrument_id,
        {{ week_start('session_date') }} as week_start_date
    from {{ relation }}
    where batch_id >= {{ window_start_batch() }}
    {{- ' union' if not loop.last }}
    {%- endfor %}
),

weeks as (
    select
        {{ week_start('session_date') }} as week_start_date,
        count(*) as n_sessions,
        min(open_at) as open_at,
        max(close_at) as close_at
    from sessions
    group by {{ week_start('session_date') }}
),

-- The whole week of a session that has changed: the day's candle is one of its week's.
minutes as (
    select
        minute_bars.*,
        touched_weeks.week_start_date
    from minute_bars
    inner join touched_weeks
        on
            minute_bars.instrument_id = touched_weeks.instrument_id
            and {{ week_start('minute_bars.session_date') }}
            = touched_weeks.week_start_date
    where minute_bars.open_price is not null
),

intervals as (
    {%- for name, width in candle_minutes().items() %}
    select
        '{{ name }}' as candle_interval,
        {{ width }} as n_minutes
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

-- The grid begins at the session's open and ends with its close, so that the last one may be short.
-- A day is one step that no session fills.
on_the_grid as (
    select
        minutes.*,
        intervals.candle_interval,
        intervals.n_minutes,
        {{ dbt.dateadd(
            'minute',
            'minutes.minute_number - mod(minutes.minute_number, intervals.n_minutes)',
            'minutes.open_at',
        ) }} as bar_start_at
    from minutes
    cross join intervals
    where
        intervals.candle_interval = '1d'
        or minutes.batch_id >= {{ window_start_batch() }}
),

in_candles as (
    select
        *,
        batch_id as load_batch_id,
        least(
            {{ dbt.dateadd('minute', 'n_minutes', 'bar_start_at') }}, close_at
        ) as bar_end_at
    from on_the_grid
),

minute_parts as (
    select
        *,
        {{ dbt.datediff('bar_start_at', 'bar_end_at', 'minute') }}
            as n_bars_expected
    from in_candles
),

{{ roll_up('minute_parts') }},

-- A source's own bar of the day has the auctions and all of the market; the minutes stand in for it
-- until it is there and finished. Of what is not, the newest. What is real comes first.
day_candidates as (
    select
        {{ candle_columns() }},
        1 as rank_of_origin
    from minute_parts_rolled
    where candle_interval = '1d'
    union all
    select
        daily_bars.instrument_id,
        daily_bars.symbol,
        daily_bars.source,
        'daily_bars' as made_of,
        daily_bars.currency,
        '1d' as candle_interval,
        daily_bars.open_price,
        daily_bars.high_price,
        daily_bars.low_price,
        daily_bars.close_price,
        daily_bars.volume_shares,
        1 as n_bars,
        1 as n_bars_expected,
        daily_bars.is_final,
        daily_bars.simulated,
        daily_bars.session_date,
        daily_bars.open_at as bar_start_at,
        daily_bars.close_at as bar_end_at,
        case when daily_bars.is_final then daily_bars.close_at end
            as settled_until_at,
        daily_bars.as_of,
        daily_bars.batch_id as load_batch_id,
        0 as rank_of_origin
    from daily_bars
    inner join touched_weeks
        on
            daily_bars.instrument_id = touched_weeks.instrument_id
            and {{ week_start('daily_bars.session_date') }}
            = touched_weeks.week_start_date
),

ranked_days as (
    select
        *,
        {{ week_start('session_date') }} as week_start_date,
        row_number() over (
            partition by instrument_id, session_date
            order by
                simulated asc,
                is_final desc,
                case when is_final then rank_of_origin end asc,
                as_of desc,
                rank_of_origin asc
        ) as preference,
        max(load_batch_id) over (partition by instrument_id, session_date)
            as day_batch_id
    from day_candidates
),

days as (
    select
        *,
        min(case when simulated then 1 else 0 end) over (
            partition by instrument_id, week_start_date
        ) = 1 as is_week_simulated
    from ranked_days
    where preference = 1
),

-- One candle has one basis, that of the week's last session: a bar before a split in the same week
-- is put on it.
later_splits as (
    select
        days.instrument_id,
        days.session_date,
        exp(sum(ln(cast(actions.split_ratio as double)))) as split_factor
    from days
    inner join actions
        on
            days.instrument_id = actions.instrument_id
            and days.session_date < actions.session_date
            and days.week_start_date
            = {{ week_start('actions.session_date') }}
            and (days.simulated or not actions.simulated)
    where actions.split_ratio <> 1
    group by days.instrument_id, days.session_date
),

-- A week with a real bar is of its real ones.
week_days as (
    select
        days.*,
        coalesce(later_splits.split_factor, 1) as split_factor
    from days
    left join later_splits
        on
            days.instrument_id = later_splits.instrument_id
            and days.session_date = later_splits.session_date
    where days.simulated = days.is_week_simulated
),

week_parts as (
    select
        week_days.instrument_id,
        week_days.symbol,
        week_days.source,
        week_days.made_of,
        week_days.currency,
        '1w' as candle_interval,
        {%- for price in ['open_price', 'high_price', 'low_price', 'close_price'] %}
        case
            when week_days.split_factor = 1 then week_days.{{ price }}
            else
                cast(
                    week_days.{{ price }} / week_days.split_factor
                    as decimal(18, 6)
                )
        end as {{ price }},
        {%- endfor %}
        cast(
            round(week_days.volume_shares * week_days.split_factor, 0) as bigint
        ) as volume_shares,
        weeks.n_sessions as n_bars_expected,
        week_days.is_final,
        week_days.simulated,
        week_days.session_date,
        week_days.bar_start_at as start_at,
        weeks.open_at as bar_start_at,
        weeks.close_at as bar_end_at,
        week_days.settled_until_at,
        week_days.as_of,
        week_days.day_batch_id as load_batch_id
    from week_days
    inner join weeks on week_days.week_start_date = weeks.week_start_date
),

{{ roll_up('week_parts') }},

together as (
    select {{ candle_columns() }}
    from minute_parts_rolled
    where candle_interval <> '1d'
    union all
    select {{ candle_columns() | replace('load_batch_id', 'day_batch_id') }}
    from days
    union all
    select {{ candle_columns() }}
    from week_parts_rolled
),

candles as (
    select
        instrument_id,
        symbol,
        source,
        made_of,
        currency,
        candle_interval,
        {{ build_id() }} as build_id,
        open_price,
        high_price,
        low_price,
        close_price,
        cast(volume_shares as bigint) as volume_shares,
        cast(n_bars as integer) as n_bars,
        cast(n_bars_expected as integer) as n_bars_expected,
        load_batch_id,
        n_bars = n_bars_expected as is_complete,
        is_final,
        simulated,
        session_date,
        bar_start_at,
        bar_end_at,
        as_of
    from together
)

select * from candles
