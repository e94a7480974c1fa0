with

judged as (select * from {{ ref('silver_quotes_judged') }}),

dropped as (
    select
        record_id,
        event_id,
        business_key,
        verdict as reason,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from judged
    where verdict in ('resent', 'superseded')
)

select * from dropped
