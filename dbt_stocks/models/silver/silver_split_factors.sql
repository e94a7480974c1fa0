{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

splits as (select * from {{ ref('silver_splits') }}),

-- An action does not say what its amount is adjusted for: what its source's prices are.
adjusting_sources as (
    select
        instrument_id,
        source,
        simulated,
        min(batch_id) as first_batch_id
    from bars
    where adjustment = 'split'
    group by instrument_id, source, simulated
),

given as (
    select
        instrument_id,
        source,
        simulated,
        session_date,
        as_of,
        0 as batch_id
    from bars
    where adjustment = 'split'
    union all
    select
        actions.instrument_id,
        actions.source,
        actions.simulated,
        actions.ex_date as session_date,
        actions.as_of,
        adjusting_sources.first_batch_id as batch_id
    from actions
    inner join adjusting_sources
        on
            actions.instrument_id = adjusting_sources.instrument_id
            and actions.source = adjusting_sources.source
            and actions.simulated = adjusting_sources.simulated
    where actions.action_type = 'dividend'
),

adjusted as (
    select
        instrument_id,
        source,
        simulated,
        session_date,
        as_of,
        max(batch_id) as batch_id
    from given
    group by instrument_id, source, simulated, session_date, as_of
),

tellings as (
    select
        instrument_id,
        source,
        simulated,
        ex_date,
        min(as_of) as told_at,
        max(batch_id) as batch_id
    from actions
    where action_type = 'split'
    group by instrument_id, source, simulated, ex_date
),

-- What was known once the ex-date had opened, or once the source itself had told of the split, is
-- adjusted for it. What is simulated happened to no real share.
later_splits as (
    select
        adjusted.instrument_id,
        adjusted.source,
        adjusted.simulated,
        adjusted.session_date,
        adjusted.as_of,
        splits.split_ratio,
        greatest(
            adjusted.batch_id,
            splits.batch_id,
            coalesce(tellings.batch_id, 0)
        ) as batch_id
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
            and adjusted.simulated = tellings.simulated
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
        -- Twelve decimals: the product of ratios, without the noise of the logarithms. Fewer would
        -- cut a reverse split's (1:6 is 0.166666666667).
        round(exp(sum(ln(cast(split_ratio as double)))), 12) as split_factor,
        max(batch_id) as batch_id
    from later_splits
    group by instrument_id, source, simulated, session_date, as_of
)

select * from factors
