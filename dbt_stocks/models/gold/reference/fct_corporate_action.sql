with

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

told as (
    select
        actions.*,
        -- What a source divides by later splits is the amount of a dividend.
        case
            when actions.action_type = 'dividend'
                then coalesce(factors.split_factor, 1)
            else 1
        end as split_factor
    from actions
    left join factors
        on
            actions.instrument_id = factors.instrument_id
            and actions.source = factors.source
            and actions.simulated = factors.simulated
            and actions.ex_date = factors.session_date
            and actions.as_of = factors.as_of
),

numbered as (
    select
        *,
        row_number() over (
            partition by instrument_id, ex_date, action_type
            order by as_of, source, event_id
        ) as revision_number,
        -- The order of silver_splits and silver_daily_actions, which the marts are made of.
        row_number() over (
            partition by instrument_id, ex_date, action_type
            order by
                is_current desc,
                simulated,
                {{ source_rank() }},
                source,
                as_of desc
        ) as preference
    from told
),

facts as (
    select
        event_id,
        instrument_id,
        symbol,
        source,
        currency,
        action_type,
        {{ build_id() }} as build_id,
        cast(split_ratio as decimal(18, 12)) as split_ratio,
        {{ as_traded('dividend_amount') }} as dividend_amount,
        cast(revision_number as integer) as revision,
        cast(revision as integer) as source_revision,
        preference = 1 as is_current,
        is_current as is_current_of_source,
        -- A source may restate what it told at any time.
        false as is_final,
        simulated,
        ex_date,
        as_of
    from numbered
)

select * from facts
