-- Neighbours name each other, numbers have no gap, and no year has lost or gained sessions. 2001
-- has 248: the exchange was closed on the four sessions after 2001-09-11.
with

sessions as (select * from {{ ref('dim_session') }}),

with_neighbours as (
    select
        *,
        lag(session_date) over (partition by mic order by session_date)
            as session_before,
        lead(session_date) over (partition by mic order by session_date)
            as session_after,
        session_number
        - lag(session_number) over (partition by mic order by session_date)
            as number_step
    from sessions
),

broken_neighbours as (
    select
        mic,
        session_date
    from with_neighbours
    where
        not coalesce(previous_session_date = session_before, true)
        or not coalesce(next_session_date = session_after, true)
        or (previous_session_date is null) <> (session_before is null)
        or (next_session_date is null) <> (session_after is null)
        or number_step <> 1
),

years as (
    select
        mic,
        extract(year from session_date) as calendar_year,
        max(session_date) as session_date,
        count(*) as n_sessions
    from sessions
    group by mic, extract(year from session_date)
),

broken_years as (
    select
        mic,
        session_date
    from years
    where
        n_sessions not between 249 and 255
        and not (calendar_year = 2001 and n_sessions = 248)
),

broken as (
    select * from broken_neighbours
    union all
    select * from broken_years
)

select * from broken
