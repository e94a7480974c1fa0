with

judged as (select * from {{ ref('silver_corporate_actions_judged') }}),

valid as (
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
        revision,
        verdict = 'current' as is_current,
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
    from judged
    where verdict in ('current', 'revision')
)

select * from valid
