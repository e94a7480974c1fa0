with

rejects as (select * from {{ ref('bronze_rejects') }}),

quarantined as (
    select
        record_id,
        event_id,
        kafka_key as symbol,
        rule,
        rule as rules,
        detail as reason,
        raw,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from rejects
    where rule <> 'duplicate'
)

select * from quarantined
