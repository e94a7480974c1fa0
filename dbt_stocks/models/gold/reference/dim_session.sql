with

sessions as (select * from {{ ref('sessions') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

dimension as (
    select
        sessions.mic,
        'reference' as source,
        {{ build_id() }} as build_id,
        sessions.session_number,
        sessions.n_minutes,
        sessions.is_half_day,
        false as simulated,
        true as is_final,
        sessions.session_date,
        sessions.previous_session_date,
        sessions.next_session_date,
        sessions.open_at,
        sessions.close_at,
        clock.now_at as as_of
    from sessions
    cross join clock
)

select * from dimension
