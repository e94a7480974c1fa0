{{ config(materialized='table') }}

with

actions as (select * from {{ ref('silver_corporate_actions') }}),

-- Two sources that report the same action report it once.
ranked as (
    select
        *,
        row_number() over (
            partition by instrument_id, ex_date, action_type
            order by
                simulated,
                {{ source_rank() }},
                source,
                as_of desc
        ) as preference
    from actions
    where is_current
),

per_session as (
    select
        instrument_id,
        ex_date as session_date,
        cast(
            coalesce(
                max(case when action_type = 'split' then split_ratio end), 1
            ) as decimal(18, 6)
        ) as split_ratio,
        cast(
            coalesce(
                max(case when action_type = 'dividend' then dividend_amount end),
                0
            ) as decimal(18, 6)
        ) as dividend_amount,
        max(as_of) as as_of
    from ranked
    where preference = 1
    group by instrument_id, ex_date
)

select * from per_session
