with

bars as (select * from {{ ref('silver_bars') }}),

quotes as (select * from {{ ref('silver_quotes') }}),

windows as (select * from {{ ref('silver_windows') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

sessions as (select * from {{ ref('sessions') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

-- A daily bar is of the whole session: one that is still forming has not arrived.
last_finished_days as (
    select
        source,
        simulated,
        max(session_date) as session_date,
        max(as_of) as as_of
    from bars
    where bar_interval = '1d' and is_final
    group by source, simulated
),

feeds as (
    select
        last_finished_days.source,
        'daily_bars' as feed,
        last_finished_days.simulated,
        sessions.close_at as last_event_at,
        last_finished_days.as_of
    from last_finished_days
    inner join sessions
        on last_finished_days.session_date = sessions.session_date
    union all
    select
        source,
        'intraday_bars' as feed,
        simulated,
        max(start_at) as last_event_at,
        max(as_of) as as_of
    from bars
    where bar_interval <> '1d'
    group by source, simulated
    union all
    select
        source,
        'quotes' as feed,
        simulated,
        max(event_at) as last_event_at,
        max(as_of) as as_of
    from quotes
    group by source, simulated
    union all
    select
        source,
        'windows' as feed,
        simulated,
        max(window_end_at) as last_event_at,
        max(as_of) as as_of
    from windows
    group by source, simulated
    union all
    select
        source,
        'corporate_actions' as feed,
        simulated,
        max(event_at) as last_event_at,
        max(as_of) as as_of
    from actions
    group by source, simulated
),

-- What is made up must not hide that the real feed has ended.
ranked as (
    select
        *,
        row_number() over (
            partition by source, feed
            order by simulated
        ) as preference
    from feeds
),

schedules as (
    {%- for feed, (due_minutes, quiet_s) in feed_schedules().items() %}
    {{ 'union all' if not loop.first }}
    select
        '{{ feed }}' as feed,
        cast({{ due_minutes }} as integer) as due_minutes,
        cast({{ quiet_s }} as integer) as quiet_s
    {%- endfor %}
),

-- The session clock runs while the exchange is open.
session_clock as (
    select
        session_number,
        session_date,
        open_at,
        close_at,
        n_minutes * 60 as session_s,
        coalesce(next_open_at, cast('9999-12-31' as timestamp)) as until_at,
        sum(n_minutes * 60) over (order by session_number) - n_minutes * 60
            as s_before
    from sessions
),

now_on_clock as (
    select
        clock.now_at,
        session_clock.s_before + least(
            session_clock.session_s,
            {{ dbt.datediff('session_clock.open_at', 'clock.now_at', 'second') }}
        ) as open_s
    from clock
    inner join session_clock
        on
            clock.now_at >= session_clock.open_at
            and clock.now_at < session_clock.until_at
),

due_sessions as (
    select
        schedules.feed,
        schedules.due_minutes,
        schedules.quiet_s,
        max(session_clock.session_number) as session_number
    from schedules
    cross join clock
    left join session_clock
        on {{ dbt.dateadd(
            'minute', 'schedules.due_minutes', 'session_clock.close_at'
        ) }} <= clock.now_at
    group by schedules.feed, schedules.due_minutes, schedules.quiet_s
),

measured as (
    select
        ranked.source,
        ranked.feed,
        due_sessions.due_minutes,
        due_sessions.quiet_s,
        ranked.simulated,
        session_clock.session_date,
        ranked.last_event_at,
        now_on_clock.now_at,
        ranked.as_of,
        greatest(
            coalesce(due_sessions.session_number, 0)
            - session_clock.session_number,
            0
        ) as lag_sessions,
        greatest(
            now_on_clock.open_s - session_clock.s_before - least(
                session_clock.session_s,
                {{ dbt.datediff(
                    'session_clock.open_at', 'ranked.last_event_at', 'second'
                ) }}
            ),
            0
        ) as lag_open_s
    from ranked
    inner join due_sessions on ranked.feed = due_sessions.feed
    inner join session_clock
        on
            ranked.last_event_at >= session_clock.open_at
            and ranked.last_event_at < session_clock.until_at
    cross join now_on_clock
    where ranked.preference = 1
),

judged as (
    select
        *,
        case
            when due_minutes is null then 'unscheduled'
            when lag_sessions > {{ var('feed_stale_sessions') }} then 'stale'
            when lag_sessions >= 1 or coalesce(lag_open_s > quiet_s, false)
                then 'late'
            else 'ok'
        end as scheduled_status,
        simulated
        or source in (
            {%- for name in var('unscheduled_sources') -%}
            {{ ', ' if not loop.first }}'{{ name }}'
            {%- endfor -%}
        ) as is_replay
    from measured
),

freshness as (
    select
        source,
        feed,
        case
            when is_replay and scheduled_status <> 'ok' then 'unscheduled'
            else scheduled_status
        end as status,
        {{ build_id() }} as build_id,
        cast(lag_sessions as integer) as lag_sessions,
        cast(lag_open_s as bigint) as lag_open_s,
        false as is_final,
        simulated,
        session_date,
        last_event_at,
        now_at as checked_at,
        as_of
    from judged
)

select * from freshness
