-- Children are what their parent is made of, and no parent is without a child: minutes in candles
-- and in windows, days in weeks.
with

candles as (select * from {{ ref('gold_candlestick') }}),

windows as (select * from {{ ref('gold_intraday_window_metrics') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

pairs as (
    {%- for child, parent, n_minutes in [
        ('1m', '5m', 5), ('5m', '15m', 15), ('15m', '1h', 60), ('1h', '4h', 240),
        ('4h', '1d', 1440), ('1d', '1w', 1440)
    ] %}
    select
        '{{ child }}' as child_interval,
        '{{ parent }}' as parent_interval,
        {{ n_minutes }} as n_minutes
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

split_weeks as (
    select
        instrument_id,
        {{ week_start('session_date') }} as week_start_date
    from actions
    where split_ratio <> 1
    group by instrument_id, {{ week_start('session_date') }}
),

placed as (
    select
        candles.*,
        {{ week_start('candles.session_date') }} as week_start_date,
        {{ dbt.datediff('sessions.open_at', 'candles.bar_start_at', 'minute') }}
            as first_minute
    from candles
    inner join sessions on candles.session_date = sessions.session_date
),

-- A day and a week hold whole sessions; what is shorter, the children that begin on its step.
children as (
    select
        placed.*,
        pairs.parent_interval,
        case
            when pairs.parent_interval = '1w' then placed.week_start_date
            else placed.session_date
        end as period_date,
        placed.first_minute - mod(placed.first_minute, pairs.n_minutes)
            as parent_minute
    from placed
    inner join pairs on placed.candle_interval = pairs.child_interval
),

together as (
    select
        instrument_id,
        parent_interval,
        candle_interval,
        period_date,
        parent_minute,
        simulated,
        max(high_price) as high_price,
        min(low_price) as low_price,
        sum(volume_shares) as volume_shares,
        min(case when is_final then 1 else 0 end) = 1 as are_all_final,
        min(bar_start_at) as first_start_at,
        max(bar_start_at) as last_start_at
    from children
    group by
        instrument_id,
        parent_interval,
        candle_interval,
        period_date,
        parent_minute,
        simulated
),

expected as (
    select
        together.*,
        first_children.open_price,
        last_children.close_price
    from together
    inner join candles as first_children
        on
            together.instrument_id = first_children.instrument_id
            and together.candle_interval = first_children.candle_interval
            and together.first_start_at = first_children.bar_start_at
    inner join candles as last_children
        on
            together.instrument_id = last_children.instrument_id
            and together.candle_interval = last_children.candle_interval
            and together.last_start_at = last_children.bar_start_at
),

periods as (
    select
        placed.*,
        case
            when placed.candle_interval = '1w' then placed.week_start_date
            else placed.session_date
        end as period_date,
        case
            when placed.candle_interval = '1w' then 0 else placed.first_minute
        end as parent_minute
    from placed
),

-- A bar of the day is the source's own; weeks with a split are on another basis than their days.
parents as (
    select periods.*
    from periods
    left join split_weeks
        on
            periods.instrument_id = split_weeks.instrument_id
            and periods.week_start_date = split_weeks.week_start_date
    where
        case periods.candle_interval
            when '1m' then false
            when '1d' then periods.made_of <> 'daily_bars'
            when '1w' then split_weeks.instrument_id is null
            else true
        end
),

different_candles as (
    select
        parents.instrument_id,
        parents.candle_interval,
        parents.bar_start_at
    from parents
    left join expected
        on
            parents.instrument_id = expected.instrument_id
            and parents.candle_interval = expected.parent_interval
            and parents.period_date = expected.period_date
            and parents.parent_minute = expected.parent_minute
            and parents.simulated = expected.simulated
    where
        expected.open_price is null
        or parents.open_price <> expected.open_price
        or parents.high_price <> expected.high_price
        or parents.low_price <> expected.low_price
        or parents.close_price <> expected.close_price
        or parents.volume_shares <> expected.volume_shares
        or (parents.is_final and not expected.are_all_final)
),

parentless as (
    select
        expected.instrument_id,
        expected.parent_interval as candle_interval,
        expected.first_start_at as bar_start_at
    from expected
    left join periods
        on
            expected.instrument_id = periods.instrument_id
            and expected.parent_interval = periods.candle_interval
            and expected.parent_minute = periods.parent_minute
            and expected.period_date = periods.period_date
    where periods.instrument_id is null
),

different_windows as (
    select
        windows.instrument_id,
        windows.window_size as candle_interval,
        windows.window_start_at as bar_start_at
    from windows
    left join candles
        on
            windows.instrument_id = candles.instrument_id
            and windows.window_size = candles.candle_interval
            and windows.window_start_at = candles.bar_start_at
            and windows.window_end_at = candles.bar_end_at
    where
        candles.open_price is null
        or windows.open_price <> candles.open_price
        or windows.high_price <> candles.high_price
        or windows.low_price <> candles.low_price
        or windows.close_price <> candles.close_price
        or windows.volume_shares <> candles.volume_shares
        or windows.n_obs <> candles.n_bars
        or windows.is_final <> candles.is_final
        or windows.source <> candles.source
),

different as (
    select * from different_candles
    union all
    select * from parentless
    union all
    select * from different_windows
)

select * from different
