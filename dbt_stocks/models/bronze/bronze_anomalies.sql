with

raw_anomalies as (select * from {{ source('common', 'anomalies_raw') }}),

renamed as (
    select
        symbol,
        source,
        rule,
        subject,
        detail,
        value,
        threshold,
        revision,
        simulated,
        session_date,
        event_at,
        as_of,
        computed_at,
        file,
        loaded_at,
        batch_id
    from raw_anomalies
)

select * from renamed
