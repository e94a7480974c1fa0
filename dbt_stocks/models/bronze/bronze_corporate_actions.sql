with

raw_actions as (select * from {{ source('common', 'corporate_actions_raw') }}),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/', {{ offset_column() }})
            as record_id,
        event_id,
        source,
        symbol,
        run_id,
        type as action_type,
        currency,
        ratio as split_ratio,
        amount as dividend_amount,
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
    from raw_actions
)

select * from renamed
