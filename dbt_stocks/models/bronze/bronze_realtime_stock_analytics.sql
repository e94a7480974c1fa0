with

raw_windows as (
    select * from {{ source('common', 'realtime_stock_analytics_raw') }}
),

renamed as (
    select
        symbol,
        source,
        ma_15m,
        ma_1h,
        volatility_15m,
        volatility_1h,
        return_volatility_15m,
        return_volatility_1h,
        vwap_15m,
        vwap_1h,
        volume_sum_15m,
        volume_sum_1h,
        n_obs_15m,
        n_obs_1h,
        coverage_15m,
        coverage_1h,
        ma_5_periods,
        ma_15_periods,
        ma_30_periods,
        revision,
        is_partial_15m,
        is_partial_1h,
        is_final,
        simulated,
        session_date,
        window_end_at,
        window_15m_start_at,
        window_1h_start_at,
        as_of,
        computed_at,
        file,
        loaded_at,
        batch_id
    from raw_windows
)

select * from renamed
