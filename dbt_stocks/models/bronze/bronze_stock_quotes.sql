with

raw_lines as (select * from {{ source('common', 'bronze_stock_quotes_raw') }}),

unpacked as (
    select
        topic,
        generation,
        partition,
        v['value'] as message,
        v['value']['data'] as data,
        file,
        loaded_at,
        batch_id,
        v,
        cast(v['offset'] as bigint) as line_offset,
        cast(v['timestamp'] as bigint) as kafka_timestamp_ms
    from raw_lines
),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/', line_offset)
            as record_id,
        cast(message['event_id'] as varchar) as event_id,
        cast(message['schema'] as varchar) as schema_name,
        cast(message['source'] as varchar) as source,
        cast(message['symbol'] as varchar) as symbol,
        cast(message['run_id'] as varchar) as run_id,
        cast(message['event_time'] as varchar) as event_time_text,
        cast(message['fetched_at'] as varchar) as fetched_at_text,
        {{ json_text('data') }} as data_text,
        {{ json_text('v') }} as raw,
        try_cast(cast(data['c'] as varchar) as decimal(18, 6)) as last_price,
        try_cast(cast(data['o'] as varchar) as decimal(18, 6)) as open_price,
        try_cast(cast(data['h'] as varchar) as decimal(18, 6)) as high_price,
        try_cast(cast(data['l'] as varchar) as decimal(18, 6)) as low_price,
        try_cast(cast(data['pc'] as varchar) as decimal(18, 6))
            as previous_close_price,
        try_cast(cast(data['d'] as varchar) as decimal(18, 6)) as change_price,
        try_cast(cast(data['dp'] as varchar) as double) as change_pct,
        try_cast(cast(data['t'] as varchar) as bigint) as provider_epoch_s,
        try_cast(cast(message['simulated'] as varchar) as boolean) as simulated,
        {{ is_json_object('data') }} as is_data_object,
        {{ is_json_number("data['c']") }}
        and {{ is_json_number("data['t']") }}
        {%- for field in ['o', 'h', 'l', 'pc', 'd', 'dp'] %}
        and (
            cast(data['{{ field }}'] as varchar) is null
            or {{ is_json_number("data['" ~ field ~ "']") }}
        )
        {%- endfor %} as are_numbers,
        cast(data['o'] as varchar) is not null as has_open,
        cast(data['h'] as varchar) is not null as has_high,
        cast(data['l'] as varchar) is not null as has_low,
        topic,
        generation,
        partition,
        line_offset as {{ offset_column() }},
        {{ timestamp_from_ms('kafka_timestamp_ms') }} as kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from unpacked
)

select * from renamed
