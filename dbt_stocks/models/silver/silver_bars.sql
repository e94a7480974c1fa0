with

judged as (select * from {{ ref('silver_bars_judged') }}),

valid as (
    select
        record_id,
        event_id,
        instrument_id,
        symbol,
        source,
        run_id,
        currency,
        adjustment,
        bar_interval,
        open_price,
        high_price,
        low_price,
        close_price,
        close_price_vendor_adj,
        volume_shares,
        revision,
        verdict = 'current' as is_current,
        is_final,
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
    from judged
    where verdict in ('current', 'revision')
)

select * from valid
