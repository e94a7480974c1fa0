{%- set prices = [
    'last_price', 'open_price', 'high_price', 'low_price',
    'previous_close_price', 'change_price',
] -%}
{%- set texts = prices + [
    'change_pct', 'day_volume_shares', 'currency', 'provider_symbol',
    'market_hours', 'epoch_s', 'epoch_ms', 'trading_day',
] -%}

with

raw_lines as (select * from {{ source('common', 'bronze_stock_quotes_raw') }}),

unpacked as (
    select
        topic,
        generation,
        partition,
        v['value'] as message,
        v['value']['data'] as data,
        cast(v['value']['source'] as varchar) as source,
        file,
        loaded_at,
        batch_id,
        v,
        cast(v['offset'] as bigint) as line_offset,
        cast(v['timestamp'] as bigint) as kafka_timestamp_ms
    from raw_lines
),

-- The only place that knows how a source calls its fields: macros/quote_layouts.sql.
laid_out as (
    select
        *,
        {{ is_json_object('data') }} as is_data_object,
        {%- for column in texts %}
        {{ quote_text(column) }} as {{ column }}_text,
        {%- endfor %}
        {{ has_quote_forms() }} as has_forms
    from unpacked
),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/', line_offset)
            as record_id,
        cast(message['event_id'] as varchar) as event_id,
        cast(message['schema'] as varchar) as schema_name,
        source,
        cast(message['symbol'] as varchar) as symbol,
        cast(message['run_id'] as varchar) as run_id,
        cast(message['event_time'] as varchar) as event_time_text,
        cast(message['fetched_at'] as varchar) as fetched_at_text,
        {{ json_text('data') }} as data_text,
        {{ json_text('v') }} as raw,
        provider_symbol_text as provider_symbol,
        currency_text as currency,
        {%- for column in prices %}
        try_cast({{ column }}_text as decimal(18, 6)) as {{ column }},
        {%- endfor %}
        try_cast(rtrim(change_pct_text, '%') as double) as change_pct,
        try_cast(day_volume_shares_text as bigint) as day_volume_shares,
        coalesce(
            try_cast(epoch_s_text as bigint),
            cast(
                floor(cast(try_cast(epoch_ms_text as bigint) as double) / 1000)
                as bigint
            )
        ) as provider_epoch_s,
        try_cast(trading_day_text as date) as provider_day,
        try_cast(cast(message['simulated'] as varchar) as boolean) as simulated,
        coalesce(market_hours_text <> '1', false) as is_extended_hours,
        is_data_object,
        has_forms,
        open_price_text is not null as has_open,
        high_price_text is not null as has_high,
        low_price_text is not null as has_low,
        topic,
        generation,
        partition,
        line_offset as {{ offset_column() }},
        {{ timestamp_from_ms('kafka_timestamp_ms') }} as kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from laid_out
)

select * from renamed
