{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='record_id',
        on_schema_change='fail',
    )
}}
{#- A record that an earlier batch has brought is the first one, whatever the clocks say. -#}
{%- set same_event = 'partition by coalesce(event_id, record_id), simulated'
    ~ ' order by batch_id, kafka_timestamp, partition, ' ~ offset_column() %}

with

quotes as (select * from {{ ref('bronze_stock_quotes') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

arrived as (
    select
        *,
        md5(
            concat(
                coalesce(source, ''), '|', coalesce(symbol, ''), '|',
                coalesce(event_time_text, ''), '|', coalesce(data_text, '')
            )
        ) as payload_hash,
        symbol || '|' || source || '|' || event_time_text
        || case when simulated then '|simulated' else '|real' end
            as business_key,
        case
            when event_time_text like '____-__-__T__:__:__%Z'
                then try_cast(event_time_text as timestamp)
        end as event_at,
        case
            when fetched_at_text like '____-__-__T__:__:__%Z'
                then try_cast(fetched_at_text as timestamp)
        end as fetched_at,
        case
            when provider_epoch_s between 1 and 4102444800
                then {{ timestamp_from_ms('provider_epoch_s * 1000') }}
        end as epoch_at
    from quotes
    where batch_id >= {{ window_start_batch() }}
),

-- The session that a quote fetched at that moment must not be older than.
expected_sessions as (
    select
        open_at,
        {{ dbt.dateadd(
            'minute', var('quote_open_grace_minutes'), 'open_at'
        ) }} as expected_from_at,
        {{ dbt.dateadd(
            'minute', var('quote_open_grace_minutes'), 'next_open_at'
        ) }} as expected_until_at
    from sessions
),

-- Where a source names a day and no moment, its quote is of that day's session.
placed as (
    select
        arrived.*,
        coalesce(arrived.epoch_at, provider_sessions.open_at) as provider_at,
        instruments.instrument_id,
        instruments.currency as instrument_currency,
        sessions.session_date,
        expected_sessions.open_at as expected_open_at
    from arrived
    left join sessions as provider_sessions
        on arrived.provider_day = provider_sessions.session_date
    left join sessions
        on
            arrived.event_at >= sessions.day_start_at
            and arrived.event_at < sessions.day_end_at
    left join instruments
        on
            arrived.symbol = instruments.symbol
            -- The exchange's day; one without a session begins and ends no listing.
            and coalesce(sessions.session_date, cast(arrived.event_at as date))
            >= instruments.valid_from
            and coalesce(sessions.session_date, cast(arrived.event_at as date))
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
    left join expected_sessions
        on
            arrived.fetched_at >= expected_sessions.expected_from_at
            and arrived.fetched_at < expected_sessions.expected_until_at
),

checked as (
    select
        *,
        coalesce(schema_name <> 'quote.v1', true)
        or event_id is null
        or source is null
        or symbol is null
        or simulated is null
        or event_at is null
        or fetched_at is null
        or not is_data_object
        or not has_forms as fails_format,
        (
            last_price is null
            or (provider_epoch_s is null and provider_day is null)
            or has_open and open_price is null
            or has_high and high_price is null
            or has_low and low_price is null
        )
        and has_forms as fails_not_finite,
        coalesce(last_price <= 0 or provider_epoch_s <= 0, false)
            as fails_zero_quote,
        symbol is not null
        and event_at is not null
        and instrument_id is null as fails_unknown_symbol,
        -- Share classes: `BRK-B` is how some sources spell `BRK.B`.
        coalesce(
            replace(upper(provider_symbol), '-', '.')
            <> replace(symbol, '-', '.'),
            false
        ) as fails_other_symbol,
        coalesce(currency <> instrument_currency, false) as fails_currency,
        coalesce(event_at > fetched_at, false)
        or coalesce(provider_epoch_s > 0, provider_day is not null)
        and provider_at is null
        or coalesce(
            fetched_at
            > {{ dbt.dateadd('hour', 1, 'kafka_timestamp') }}, false
        )
        or coalesce(
            epoch_at > {{ dbt.dateadd(
                'minute', var('quote_time_tolerance_minutes'), 'event_at'
            ) }}
            or event_at > {{ dbt.dateadd(
                'minute', var('quote_time_tolerance_minutes'), 'epoch_at'
            ) }},
            false
        )
        or coalesce(provider_day <> session_date, false) as fails_implausible_time,
        coalesce(provider_at < expected_open_at, false) as fails_stale,
        -- The day's range is that of regular hours: a price before or after may lie outside.
        coalesce(
            (low_price > last_price and not is_extended_hours)
            or (last_price > high_price and not is_extended_hours)
            or low_price > open_price
            or open_price > high_price
            or low_price > high_price
            or low_price <= 0
            or open_price <= 0,
            false
        ) as fails_price_range,
        coalesce(
            abs(change_price - (last_price - previous_close_price))
            > {{ var('quote_change_tolerance') }} + last_price * 1e-6
            and previous_close_price > 0,
            false
        ) as fails_change,
        coalesce(
            last_price > previous_close_price * {{ var('quote_jump_ratio') }}
            or last_price * {{ var('quote_jump_ratio') }} < previous_close_price,
            false
        )
        and coalesce(previous_close_price > 0, false) as fails_jump
    from placed
),

-- What earlier batches decided about the same events and the same observations.
{% if is_incremental() %}
known as (
    select * from {{ this }}
    where
        batch_id < {{ window_start_batch() }}
        and (
            event_id in (select checked.event_id from checked)
            or business_key in (select checked.business_key from checked)
        )
),
{% else %}
known as (
    select
        *,
        false as fails_conflict,
        cast(null as varchar) as event_verdict,
        cast(null as varchar) as rule,
        cast(null as varchar) as rules,
        cast(null as varchar) as verdict
    from checked
    where false
),
{% endif %}

together as (
    select
        {{ judged_quote_columns() }},
        raw,
        event_verdict as known_event_verdict
    from known
    union all
    select
        {{ judged_quote_columns() }},
        raw,
        cast(null as varchar) as known_event_verdict
    from checked
),

numbered as (
    select
        *,
        row_number() over ({{ same_event }}) as event_number,
        first_value(payload_hash) over ({{ same_event }}) as first_payload_hash
    from together
),

compared as (
    select
        *,
        coalesce(
            known_event_verdict,
            case
                when event_number = 1 then 'first'
                when payload_hash = first_payload_hash then 'resent'
                else 'conflict'
            end
        ) as event_verdict
    from numbered
),

ruled as (
    select
        *,
        event_verdict = 'conflict' as fails_conflict,
        {%- for name, _ in quote_rules() if name != 'conflict' %}
        {{ 'and ' if not loop.first }}not fails_{{ name }}
        {%- endfor %} as is_sound
    from compared
),

-- A source may go back to what it had said before: its first record then counts as of its last.
last_said as (
    select
        *,
        max(case when is_sound then fetched_at end) over (
            partition by event_id, payload_hash, simulated
        ) as last_fetched_at
    from ruled
),

ranked as (
    select
        *,
        row_number() over (
            partition by is_sound and event_verdict = 'first', business_key
            order by
                last_fetched_at desc, kafka_timestamp desc, record_id desc
        ) as observation_number
    from last_said
),

judged as (
    select
        *,
        case
            when event_verdict = 'resent' then 'resent'
            when event_verdict = 'conflict' or not is_sound then 'quarantined'
            when observation_number = 1 then 'kept'
            else 'superseded'
        end as verdict
    from ranked
),

-- The payload stays in the raw table; only what is to be acted on carries it along.
shown as (
    select
        {{ judged_quote_columns() }},
        fails_conflict,
        event_verdict,
        verdict,
        {{ first_rule(quote_rules()) }} as rule,
        {{ all_rules(quote_rules()) }} as rules,
        case when verdict = 'quarantined' then raw end as raw
    from judged
)

select * from shown
