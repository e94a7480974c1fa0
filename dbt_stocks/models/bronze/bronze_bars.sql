with

raw_bars as (select * from {{ source('common', 'bars_raw') }}),

renamed as (
    select
        concat(topic, '/', generation, '/', partition, '/', {{ offset_column() }})
            as record_id,
        event_id,
        source,
        symbol,
        run_id,
        currency,
        adjustment,
        interval as bar_interval,
        open as open_price,
        high as high_price,
        low as low_price,
        close as close_price,
        adj_close as close_price_vendor_adj,
        volume as volume_shares,
        simulated,
        session_date,
        start_at,
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
    from raw_bars
)

select * from renamed
