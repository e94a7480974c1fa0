{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['symbol', 'source', 'session_date', 'rule', 'subject'],
        on_schema_change='fail',
    )
}}

with

revisions as (select * from {{ ref('bronze_anomalies') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

new_revisions as (
    select *
    from revisions
    where batch_id >= {{ window_start_batch() }}
),

touched_days as (
    select
        symbol,
        source,
        session_date
    from new_revisions
    group by symbol, source, session_date
),

candidates as (
    select
        revisions.*,
        instruments.instrument_id,
        sessions.day_end_at
    from revisions
    inner join touched_days
        on
            revisions.symbol = touched_days.symbol
            and revisions.source = touched_days.source
            and revisions.session_date = touched_days.session_date
    inner join sessions on revisions.session_date = sessions.session_date
    inner join instruments
        on
            revisions.symbol = instruments.symbol
            and revisions.session_date >= instruments.valid_from
            and revisions.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

ranked as (
    select
        *,
        row_number() over (
            partition by symbol, source, session_date, rule, subject
            order by revision desc
        ) as recency
    from candidates
),

latest as (
    select
        instrument_id,
        symbol,
        source,
        rule,
        subject,
        detail,
        value,
        threshold,
        revision,
        value is null as is_withdrawn,
        simulated,
        session_date,
        event_at,
        day_end_at,
        as_of,
        computed_at,
        loaded_at,
        batch_id
    from ranked
    where recency = 1
)

select * from latest
