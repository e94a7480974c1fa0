{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

{#- A simulated share and the real one of its name are two series. -#}
{%- set so_far = '(partition by instrument_id, simulated order by session_date'
    ~ ' rows between unbounded preceding and current row)' %}

with

returns as (select * from {{ ref('silver_daily_returns') }}),

factors as (select * from {{ ref('fct_adjustment_factor') }}),

first_changes as (
    select
        instrument_id,
        min(session_date) as session_date
    from returns
    where batch_id >= {{ window_start_batch() }}
    group by instrument_id
),

-- A share with its splits, and its dividends reinvested at the ex-date, in money.
asked as (
    select
        returns.instrument_id,
        returns.symbol,
        returns.source,
        returns.currency,
        cast(returns.close_price as double)
        * factors.split_index
        * factors.dividend_index as holding_value,
        cast(null as double) as known_first_value,
        cast(null as double) as known_peak_index,
        cast(null as double) as known_max_drawdown,
        returns.batch_id,
        -- A peak, and the first value, may lie at any bar before.
        returns.n_final_bars = returns.bar_number as is_final,
        returns.simulated,
        true as is_asked,
        returns.session_date,
        cast(null as date) as known_peak_date,
        returns.as_of
    from returns
    inner join first_changes
        on
            returns.instrument_id = first_changes.instrument_id
            and returns.session_date >= first_changes.session_date
    inner join factors
        on
            returns.instrument_id = factors.instrument_id
            and returns.simulated = factors.simulated
            and returns.adjustment_step = factors.adjustment_step
            and factors.convention = 'crsp'
),

-- The row of each series that the first asked one goes on from: its first value, its peak and its
-- worst fall are all that the past has to say.
{% if is_incremental() %}
last_unchanged as (
    select
        known.instrument_id,
        known.simulated,
        max(known.session_date) as session_date
    from {{ this }} as known
    inner join first_changes
        on
            known.instrument_id = first_changes.instrument_id
            and known.session_date < first_changes.session_date
    group by known.instrument_id, known.simulated
),

states as (
    select
        known.instrument_id,
        known.symbol,
        known.source,
        known.currency,
        cast(null as double) as holding_value,
        known.first_value_state as known_first_value,
        known.peak_index as known_peak_index,
        known.max_drawdown as known_max_drawdown,
        known.load_batch_id as batch_id,
        known.is_final,
        known.simulated,
        false as is_asked,
        known.session_date,
        known.peak_session_date as known_peak_date,
        known.as_of
    from {{ this }} as known
    inner join last_unchanged
        on
            known.instrument_id = last_unchanged.instrument_id
            and known.simulated = last_unchanged.simulated
            and known.session_date = last_unchanged.session_date
),
{% else %}
states as (
    select * from asked
    where false
),
{% endif %}

timeline as (
    select * from asked
    union all
    select * from states
),

with_first as (
    select
        *,
        first_value(coalesce(known_first_value, holding_value))
            over {{ so_far }} as first_value_state
    from timeline
),

indexed as (
    select
        *,
        holding_value / first_value_state as total_return_index
    from with_first
),

with_peak as (
    select
        *,
        max(coalesce(known_peak_index, total_return_index)) over {{ so_far }}
            as peak_index
    from indexed
),

with_fall as (
    select
        *,
        total_return_index / peak_index - 1 as drawdown,
        max(
            case
                when total_return_index = peak_index then session_date
                else known_peak_date
            end
        ) over {{ so_far }} as peak_session_date
    from with_peak
),

drawdowns as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        {{ build_id() }} as build_id,
        total_return_index,
        peak_index,
        drawdown,
        min(coalesce(known_max_drawdown, drawdown)) over {{ so_far }}
            as max_drawdown,
        first_value_state,
        cast(
            {{ dbt.datediff('peak_session_date', 'session_date', 'day') }}
            as integer
        ) as days_since_peak,
        batch_id as load_batch_id,
        is_final,
        simulated,
        session_date,
        peak_session_date,
        as_of,
        is_asked
    from with_fall
),

computed as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        build_id,
        total_return_index,
        peak_index,
        drawdown,
        max_drawdown,
        first_value_state,
        days_since_peak,
        load_batch_id,
        is_final,
        simulated,
        session_date,
        peak_session_date,
        as_of
    from drawdowns
    where is_asked
)

select * from computed
