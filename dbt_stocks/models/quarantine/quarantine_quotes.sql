with

judged as (select * from {{ ref('silver_quotes_judged') }}),

refused as (select * from {{ ref('bronze_stock_quotes_refused') }}),

ruled_out as (
    select
        record_id,
        event_id,
        symbol,
        source,
        rule,
        rules,
        {{ rule_reason(quote_rules()) }} as reason,
        raw,
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
),

refused_by_engine as (
    select
        record_id,
        cast(null as varchar) as event_id,
        cast(null as varchar) as symbol,
        cast(null as varchar) as source,
        'refused_line' as rule,
        'refused_line' as rules,
        reason,
        raw,
        topic,
        generation,
        partition,
        {{ offset_column() }},
        cast(null as timestamp) as kafka_timestamp,
        file,
        loaded_at,
        batch_id
    from refused
),

quarantined as (
    select * from ruled_out
    union all
    select * from refused_by_engine
)

select * from quarantined
