{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

splits as (select * from {{ ref('silver_splits') }}),

-- An action does not say what its amount is adjusted for: what its source's prices are.
adjusting_sources as (
    select
        instrument_id,
        source
    from bars
    where is_current and adjustment = 'split'
    group by instrument_id, source
),

adjusted as (
    select
        instrument_id,
        source,
        simulated,
        session_date,
        as_of
    from bars
    where adjustment = 'split'
    union
    select
        actions.instrument_id,
        actions.source,
        actions.simulated,
        actions.ex_date as session_date,
        actions.as_of
    from actions
    inner join adjusting_sources
        on
            actions.instrument_id = adjusting_sources.instrument_id
            and actions.source = adjusting_sources.source
    where actions.action_type = 'dividend'
),

tellings as (
    select
        instrument_id,
        source,
        ex_date,
        min(as_of) as told_at
    from actions
    where action_type = 'split'
    group by instrument_id, source, ex_date
),

-- What was known once the ex-date had opened, or once the source itself had told of the split, is
-- adjusted for it. What is simulated happened to no real share.
later_splits as (
    select
        adjusted.*,
        splits.split_ratio
    from adjusted
    inner join splits
        on
            adjusted.instrument_id = splits.instrument_id
            and adjusted.session_date < splits.ex_date
            and (adjusted.simulated or not splits.simulated)
    left join tellings
        on
            adjusted.instrument_id = tellings.instrument_id
            and adjusted.source = tellings.source
            and splits.ex_date = tellings.ex_date
    where
        adjusted.as_of >= splits.open_at
        or adjusted.as_of >= tellings.told_at
),

factors as (
    select
        instrument_id,
        source,
        simulated,
        session_date,
        as_of,
        -- Nine decimals: the product of ratios, without the noise of the logarithms.
        round(exp(sum(ln(cast(split_ratio as double)))), 9) as split_factor
    from later_splits
    group by instrument_id, source, simulated, session_date, as_of
)

select * from factors
