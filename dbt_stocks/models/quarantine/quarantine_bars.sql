with

judged as (select * from {{ ref('silver_bars_judged') }}),

quarantined as (
    select
        record_id,
        event_id,
        symbol,
        source,
        rule,
        rules,
        {{ rule_reason(bar_rules()) }} as reason,
        concat(
            'session ', coalesce(cast(session_date as varchar), 'null'),
            ' open ', coalesce(cast(open_price as varchar), 'null'),
            ' high ', coalesce(cast(high_price as varchar), 'null'),
            ' low ', coalesce(cast(low_price as varchar), 'null'),
            ' close ', coalesce(cast(close_price as varchar), 'null'),
            ' volume ', coalesce(cast(volume_shares as varchar), 'null'),
            ' ', coalesce(currency, 'null')
        ) as raw,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from judged
    where verdict = 'quarantined'
)

select * from quarantined
