with

raw_rejects as (select * from {{ source('common', 'rejects_raw') }}),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/', {{ offset_column() }})
            as record_id,
        event_id,
        schema as schema_name,
        reason as rule,
        detail,
        raw,
        key as kafka_key,
        headers,
        session_date,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from raw_rejects
)

select * from renamed
