{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

{%- set bar_columns = [
    'symbol', 'source', 'currency', 'open_price', 'high_price', 'low_price',
    'close_price', 'close_price_vendor_adj', 'volume_shares', 'session_number',
    'is_final', 'simulated', 'session_date', 'open_at', 'close_at', 'as_of',
    'batch_id',
] %}
{#- A simulated share and the real one of its name are two series: neither is the other's past. -#}
{%- set before = '(partition by instrument_id, simulated order by session_date)' %}
{%- set so_far = '(partition by instrument_id, simulated order by session_date'
    ~ ' rows between unbounded preceding and current row)' %}
{#- Batches are the instrument's: a bar that passes from one kind to the other changes both. -#}
{%- set before_of_both = '(partition by instrument_id order by session_date)' %}
{%- set so_far_of_both = '(partition by instrument_id order by session_date'
    ~ ' rows between unbounded preceding and current row)' %}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_bar_actions') }}),

changes as (
    select
        instrument_id,
        session_date
    from bars
    where batch_id >= {{ window_start_batch() }}
    union all
    select
        instrument_id,
        session_date
    from actions
    where batch_id >= {{ window_start_batch() }}
),

first_changes as (
    select
        instrument_id,
        min(session_date) as session_date
    from changes
    group by instrument_id
),

asked as (
    select
        bars.instrument_id,
        {%- for column in bar_columns %}
        bars.{{ column }},
        {%- endfor %}
        1 as bar_number,
        0 as adjustment_step,
        0 as n_final_bars,
        true as is_asked
    from bars
    inner join first_changes
        on
            bars.instrument_id = first_changes.instrument_id
            and bars.session_date >= first_changes.session_date
),

-- The row of each series that the first asked one goes on from.
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
        {%- for column in bar_columns %}
        known.{{ column }},
        {%- endfor %}
        known.bar_number,
        known.adjustment_step,
        known.n_final_bars,
        false as is_asked
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

with_previous as (
    select
        *,
        lag(close_price) over {{ before }} as previous_close_price,
        lag(session_date) over {{ before }} as previous_bar_date,
        lag(batch_id) over {{ before_of_both }} as previous_batch_id,
        session_number
        - lag(session_number) over {{ before }} as n_sessions_since_previous
    from timeline
),

-- The previous close on today's basis. A one-day return needs the session before: over a halt it
-- would cover several days under the name of one.
with_base as (
    select
        with_previous.*,
        cast(coalesce(actions.split_ratio, 1) as decimal(18, 12)) as split_ratio,
        coalesce(actions.dividend_amount, 0) as dividend_amount,
        cast(coalesce(actions.split_ratio, 1) as double) as ratio,
        cast(coalesce(actions.dividend_amount, 0) as double) as dividend,
        cast(with_previous.close_price as double) as close_value,
        cast(with_previous.open_price as double) as open_value,
        case
            when with_previous.n_sessions_since_previous = 1
                then cast(with_previous.previous_close_price as double)
        end as base_close,
        greatest(
            with_previous.batch_id,
            coalesce(with_previous.previous_batch_id, 0),
            coalesce(actions.batch_id, 0)
        ) as return_batch_id
    from with_previous
    left join actions
        on
            with_previous.instrument_id = actions.instrument_id
            and with_previous.simulated = actions.simulated
            and with_previous.session_date = actions.session_date
),

-- What is left of the previous close after the dividend; one that is not smaller is no dividend.
with_rest as (
    select
        *,
        case
            when base_close > dividend * ratio
                then base_close - dividend * ratio
        end as base_less_dividend
    from with_base
),

with_returns as (
    select
        *,
        close_value * ratio / base_close - 1 as price_return_1d,
        close_value * ratio / base_less_dividend - 1 as return_1d,
        ln(close_value * ratio / base_less_dividend) as return_1d_log,
        open_value * ratio / base_close - 1 as gap_return,
        sum(
            case
                when not is_asked then adjustment_step
                when previous_bar_date is null then 0
                when split_ratio <> 1 or dividend_amount > 0 then 1
                else 0
            end
        ) over {{ so_far }} as steps_so_far,
        sum(bar_number) over {{ so_far }} as bars_so_far,
        max(return_batch_id) over {{ so_far_of_both }} as newest_batch_id
    from with_rest
),

-- The last bar so far that was still forming when it was fetched: what looks back over it rests on
-- a price that is still to change.
with_finality as (
    select
        *,
        max(
            case
                when not is_asked then bars_so_far - n_final_bars
                when not is_final then bars_so_far
            end
        ) over {{ so_far }} as last_open_bar
    from with_returns
),

returns as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        open_price,
        high_price,
        low_price,
        close_price,
        close_price_vendor_adj,
        previous_close_price,
        volume_shares,
        split_ratio,
        dividend_amount,
        price_return_1d,
        return_1d,
        return_1d_log,
        gap_return,
        session_number,
        n_sessions_since_previous,
        cast(bars_so_far as integer) as bar_number,
        cast(steps_so_far as integer) as adjustment_step,
        cast(bars_so_far - coalesce(last_open_bar, 0) as integer)
            as n_final_bars,
        is_final,
        simulated,
        session_date,
        previous_bar_date,
        open_at,
        close_at,
        as_of,
        return_batch_id,
        newest_batch_id as batch_id
    from with_finality
    where is_asked
)

select * from returns
