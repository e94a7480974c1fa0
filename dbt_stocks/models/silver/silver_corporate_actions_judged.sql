{{ config(materialized='table') }}

with

actions as (select * from {{ ref('bronze_corporate_actions') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

placed as (
    select
        actions.*,
        instruments.instrument_id,
        instruments.currency as instrument_currency,
        sessions.open_at,
        actions.symbol || '|' || actions.source || '|' || actions.action_type
        || '|' || cast(actions.ex_date as varchar)
        || case when actions.simulated then '|simulated' else '|real' end
            as business_key
    from actions
    left join sessions on actions.ex_date = sessions.session_date
    left join instruments
        on
            actions.symbol = instruments.symbol
            and actions.ex_date >= instruments.valid_from
            and actions.ex_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

checked as (
    select
        *,
        case action_type
            when 'split' then split_ratio is null
            when 'dividend' then dividend_amount is null
            else true
        end as fails_incomplete,
        -- An amount of 0, like a ratio of 1, takes back what its source told before.
        coalesce(split_ratio <= 0 or dividend_amount < 0, false)
            as fails_not_positive,
        open_at is null as fails_no_session,
        instrument_id is null as fails_unknown_instrument,
        coalesce(currency <> instrument_currency, false) as fails_currency
    from placed
),

ruled as (
    select
        *,
        {{ first_rule(corporate_action_rules()) }} as rule,
        {{ all_rules(corporate_action_rules()) }} as rules
    from checked
),

ranked as (
    select
        *,
        case
            when rule is null
                then row_number() over (
                    partition by rule is null, business_key
                    order by
                        as_of, kafka_timestamp, partition, {{ offset_column() }}
                )
        end as revision,
        count(*) over (partition by rule is null, business_key) as n_revisions
    from ruled
),

judged as (
    select
        record_id,
        event_id,
        instrument_id,
        symbol,
        source,
        run_id,
        action_type,
        currency,
        split_ratio,
        dividend_amount,
        rule,
        rules,
        case
            when rule is not null then 'quarantined'
            when revision = n_revisions then 'current'
            else 'revision'
        end as verdict,
        revision,
        simulated,
        ex_date,
        event_at,
        fetched_at,
        as_of,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from ranked
)

select * from judged
