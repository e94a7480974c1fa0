with

raw_bars as (select * from {{ source('common', 'trade_bars_raw') }}),

renamed as (
    select
        symbol,
        source,
        interval as bar_interval,
        segment,
        open as open_price,
        high as high_price,
        low as low_price,
        close as close_price,
        volume as volume_shares,
        vwap,
        n_trades,
        revision,
        is_final,
        simulated,
        session_date,
        start_at,
        end_at,
        as_of,
        computed_at,
        file,
        loaded_at,
        batch_id
    from raw_bars
)

select * from renamed
