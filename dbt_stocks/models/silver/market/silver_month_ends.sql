with

bars as (select * from {{ ref('silver_daily_bars') }}),

last_sessions as (
    select
        simulated,
        max(session_date) as session_date
    from bars
    group by {{ dbt.date_trunc('month', 'session_date') }}, simulated
),

ranked as (
    select
        simulated,
        session_date,
        row_number() over (
            partition by simulated order by session_date desc
        ) as age_rank
    from last_sessions
),

month_ends as (
    select
        simulated,
        session_date,
        age_rank
    from ranked
    where age_rank <= {{ var('correlation_months') }}
)

select * from month_ends
