{{ config(materialized='table') }}

with

splits as (select * from {{ ref('silver_splits') }}),

dividends as (select * from {{ ref('silver_dividends') }}),

chosen as (
    select
        instrument_id,
        split_ratio,
        cast(null as decimal(18, 6)) as dividend_amount,
        simulated,
        ex_date,
        as_of,
        batch_id
    from splits
    union all
    select
        instrument_id,
        cast(null as decimal(18, 12)) as split_ratio,
        dividend_amount,
        simulated,
        ex_date,
        as_of,
        batch_id
    from dividends
),

-- A day of which reality tells something is not mixed with what was made up.
by_reality as (
    select
        *,
        min(case when simulated then 1 else 0 end) over (
            partition by instrument_id, ex_date
        ) = 1 as is_all_simulated,
        max(batch_id) over (partition by instrument_id, ex_date)
            as known_batch_id
    from chosen
),

per_session as (
    select
        instrument_id,
        ex_date as session_date,
        cast(coalesce(max(split_ratio), 1) as decimal(18, 12)) as split_ratio,
        cast(coalesce(max(dividend_amount), 0) as decimal(18, 6))
            as dividend_amount,
        is_all_simulated as simulated,
        max(as_of) as as_of,
        max(known_batch_id) as batch_id
    from by_reality
    where simulated = is_all_simulated
    group by instrument_id, ex_date, is_all_simulated
)

select * from per_session
