{{ config(materialized='table') }}

with

actions as (select * from {{ ref('silver_corporate_actions') }}),

splits as (select * from {{ ref('silver_splits') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

-- Two sources that report the same dividend report it once.
ranked_dividends as (
    select
        *,
        row_number() over (
            partition by instrument_id, ex_date
            order by
                simulated,
                {{ source_rank() }},
                source,
                as_of desc
        ) as preference,
        max(batch_id) over (partition by instrument_id, ex_date)
            as known_batch_id
    from actions
    where is_current and action_type = 'dividend'
),

dividends as (
    select
        ranked_dividends.*,
        coalesce(factors.split_factor, 1) as split_factor,
        coalesce(factors.batch_id, 0) as factor_batch_id
    from ranked_dividends
    left join factors
        on
            ranked_dividends.instrument_id = factors.instrument_id
            and ranked_dividends.source = factors.source
            and ranked_dividends.simulated = factors.simulated
            and ranked_dividends.ex_date = factors.session_date
            and ranked_dividends.as_of = factors.as_of
    where ranked_dividends.preference = 1
),

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
        {{ as_traded('dividend_amount') }} as dividend_amount,
        simulated,
        ex_date,
        as_of,
        greatest(known_batch_id, factor_batch_id) as batch_id
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
