with

bars as (select * from {{ ref('silver_bars') }}),

quotes as (select * from {{ ref('silver_quotes') }}),

windows as (select * from {{ ref('silver_windows') }}),

latest_fetches as (
    select max(fetched_at) as fetched_at from bars
    union all
    select max(fetched_at) as fetched_at from quotes
    union all
    select max(as_of) as fetched_at from windows
),

clock as (
    select
        coalesce({{ given_now() }}, max(fetched_at)) as now_at,
        {{ given_now() }} is not null as is_given
    from latest_fetches
)

select * from clock
