{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='record_id',
        on_schema_change='fail',
    )
}}

with

bars as (select * from {{ ref('bronze_bars') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

arrived as (
    select
        *,
        case bar_interval
            when '1m' then 1
            when '2m' then 2
            when '5m' then 5
            when '15m' then 15
            when '30m' then 30
            when '1h' then 60
        end as bar_minutes
    from bars
    where batch_id >= {{ window_start_batch() }}
),

placed as (
    select
        arrived.*,
        instruments.instrument_id,
        instruments.currency as instrument_currency,
        sessions.open_at,
        sessions.close_at,
        -- A session's last bar of an hour ends with it.
        coalesce(
            arrived.as_of >= sessions.close_at
            or arrived.as_of
            >= {{ dbt.dateadd(
                'minute', 'arrived.bar_minutes', 'arrived.start_at'
            ) }},
            false
        ) as is_final,
        -- A daily bar is the session's, whatever instant its provider stamps it with. Real and
        -- made-up ones of one source are two facts: neither is a revision of the other.
        arrived.symbol || '|' || arrived.source || '|' || arrived.bar_interval
        || '|' || cast(arrived.session_date as varchar)
        || case when arrived.simulated then '|simulated' else '|real' end
        || case
            when arrived.bar_interval = '1d' then ''
            else '|' || cast(arrived.start_at as varchar)
        end as business_key
    from arrived
    left join sessions on arrived.session_date = sessions.session_date
    left join instruments
        on
            arrived.symbol = instruments.symbol
            and arrived.session_date >= instruments.valid_from
            and arrived.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

checked as (
    select
        *,
        open_price is null
        or high_price is null
        or low_price is null
        or close_price is null
        or volume_shares is null as fails_incomplete,
        coalesce(
            open_price <= 0
            or high_price <= 0
            or low_price <= 0
            or close_price <= 0,
            false
        ) as fails_not_positive,
        coalesce(
            low_price > open_price
            or low_price > close_price
            or open_price > high_price
            or close_price > high_price
            or low_price > high_price,
            false
        ) as fails_price_order,
        coalesce(volume_shares < 0, false) as fails_negative_volume,
        coalesce(bar_interval <> '1d', true)
        and bar_minutes is null as fails_unknown_interval,
        coalesce(adjustment not in ('raw', 'split'), true) as fails_adjustment,
        open_at is null
        or coalesce(
            bar_minutes > 0 and (start_at < open_at or start_at >= close_at),
            false
        ) as fails_no_session,
        instrument_id is null as fails_unknown_instrument,
        coalesce(currency <> instrument_currency, false) as fails_currency,
        coalesce(as_of < open_at, false)
        or coalesce(
            fetched_at
            > {{ dbt.dateadd('hour', 1, 'kafka_timestamp') }}, false
        ) as fails_implausible_time
    from placed
),

ruled as (
    select
        *,
        {{ first_rule(bar_rules()) }} as rule,
        {{ all_rules(bar_rules()) }} as rules
    from checked
),

{% if is_incremental() %}
known as (
    select * from {{ this }}
    where
        batch_id < {{ window_start_batch() }}
        and business_key in (select ruled.business_key from ruled)
),
{% else %}
known as (
    select * from ruled
    where false
),
{% endif %}

together as (
    select {{ judged_bar_columns() }} from known
    union all
    select {{ judged_bar_columns() }} from ruled
),

-- What was known last is what holds; when it was loaded decides nothing.
ranked as (
    select
        *,
        case
            when rule is null
                then row_number() over (
                    partition by rule is null, business_key
                    order by
                        as_of, kafka_timestamp, partition, {{ offset_column() }}
                )
        end as revision,
        count(*) over (partition by rule is null, business_key) as n_revisions
    from together
),

judged as (
    select
        {{ judged_bar_columns() }},
        revision,
        case
            when rule is not null then 'quarantined'
            when revision = n_revisions then 'current'
            else 'revision'
        end as verdict
    from ranked
)

select * from judged
