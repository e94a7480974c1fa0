with

found as (select * from {{ ref('silver_anomalies') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

standing as (
    select
        found.instrument_id,
        found.symbol,
        found.source,
        found.rule,
        found.subject,
        found.detail,
        case found.rule
            when 'trade_price' then 'robust z-score'
            when 'window_volume' then 'robust z-score'
            when 'trade_range' then 'price'
            when 'trade_stale' then 's'
            when 'session_jump' then 'fraction'
        end as value_unit,
        {{ build_id() }} as build_id,
        found.value,
        found.threshold,
        found.revision,
        found.simulated,
        -- The exchange's day is over: its trades and its bar are there.
        coalesce(clock.now_at >= found.day_end_at, false) as is_final,
        found.session_date,
        found.event_at,
        found.computed_at,
        found.as_of
    from found
    cross join clock
    where not found.is_withdrawn
)

select * from standing
