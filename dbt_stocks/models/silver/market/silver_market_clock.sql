with

sessions as (select * from {{ ref('sessions') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

-- The exchange's days, not UTC's: at 01:00 UTC it is still the evening of the session before.
days_begun as (
    select
        clock.now_at,
        sessions.session_number,
        sessions.session_date,
        sessions.open_at,
        sessions.close_at,
        sessions.day_end_at,
        row_number() over (
            order by sessions.session_number desc
        ) as age_rank
    from sessions
    inner join clock on sessions.day_start_at <= clock.now_at
),

market as (
    select
        case
            when now_at >= day_end_at then 'closed'
            when now_at < open_at then 'pre'
            when now_at < close_at then 'open'
            else 'post'
        end as market_state,
        session_number,
        -- A price of the session before is no older than it has to be until the next one opens.
        case when now_at < open_at then session_number - 1 else session_number end
            as expected_session_number,
        session_date,
        now_at
    from days_begun
    where age_rank = 1
)

select * from market
