with

judged as (select * from {{ ref('silver_quotes_judged') }}),

kept as (
    select
        record_id,
        event_id,
        instrument_id,
        symbol,
        source,
        run_id,
        last_price,
        open_price,
        high_price,
        low_price,
        previous_close_price,
        change_price,
        change_pct,
        day_volume_shares,
        simulated,
        is_extended_hours,
        session_date,
        event_at,
        fetched_at,
        fetched_at as as_of,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from judged
    where verdict = 'kept'
)

select * from kept
