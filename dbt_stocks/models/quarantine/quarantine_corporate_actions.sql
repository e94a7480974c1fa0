with

judged as (select * from {{ ref('silver_corporate_actions_judged') }}),

quarantined as (
    select
        record_id,
        event_id,
        symbol,
        source,
        rule,
        rules,
        {{ rule_reason(corporate_action_rules()) }} as reason,
        concat(
            action_type,
            ' ex-date ', coalesce(cast(ex_date as varchar), 'null'),
            ' ratio ', coalesce(cast(split_ratio as varchar), 'null'),
            ' amount ', coalesce(cast(dividend_amount as varchar), 'null'),
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
