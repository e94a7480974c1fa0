with

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

-- Which day's action holds; the marts are made of these.
held as (
    select
        instrument_id,
        'split' as action_type,
        is_holding,
        ex_date
    from {{ ref('silver_splits') }}
    union all
    select
        instrument_id,
        'dividend' as action_type,
        is_holding,
        ex_date
    from {{ ref('silver_dividends') }}
),

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
        -- The order of silver_splits and silver_dividends.
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
        numbered.event_id,
        numbered.instrument_id,
        numbered.symbol,
        numbered.source,
        numbered.currency,
        numbered.action_type,
        {{ build_id() }} as build_id,
        cast(numbered.split_ratio as decimal(18, 12)) as split_ratio,
        {{ as_traded('numbered.dividend_amount', 'numbered.split_factor') }} as dividend_amount,
        cast(numbered.revision_number as integer) as revision,
        cast(numbered.revision as integer) as source_revision,
        numbered.preference = 1 and held.is_holding as is_current,
        numbered.is_current as is_current_of_source,
        -- A source may restate what it told at any time.
        false as is_final,
        numbered.simulated,
        numbered.ex_date,
        numbered.as_of
    from numbered
    inner join held
        on
            numbered.instrument_id = held.instrument_id
            and numbered.action_type = held.action_type
            and numbered.ex_date = held.ex_date
)

select * from facts
