with

raw_metrics as (
    select * from {{ source('common', 'daily_stock_metrics_raw') }}
),

renamed as (
    select
        bar_event_id,
        symbol,
        source,
        daily_open,
        daily_high,
        daily_low,
        daily_close,
        daily_volume,
        daily_change,
        revision,
        simulated,
        session_date,
        as_of,
        computed_at,
        file,
        loaded_at,
        batch_id
    from raw_metrics
)

select * from renamed
