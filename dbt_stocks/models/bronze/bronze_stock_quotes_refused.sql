with

refused_lines as (
    select * from {{ source('common', 'bronze_stock_quotes_rejects') }}
),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/#', line_number, file)
            as record_id,
        reason,
        raw,
        raw_encoding,
        line_number,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        file,
        loaded_at,
        batch_id
    from refused_lines
)

select * from renamed
