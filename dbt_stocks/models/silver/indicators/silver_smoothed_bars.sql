{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

{%- set averages = smoothed_averages() %}
{%- set signal_weight = 2 / 10 %}
{#- Real and simulated bars of an instrument are two series. -#}
{%- set by_number = 'partition by instrument_id, simulated order by bar_number' %}

with

bars as (select * from {{ ref('silver_comparable_bars') }}),

changed as (
    select
        instrument_id,
        simulated,
        min(bar_number) as first_bar_number
    from bars
    where batch_id >= {{ window_start_batch() }}
    group by instrument_id, simulated
),

-- A series goes on from the bar before its first new one, if all averages have begun there.
{% if is_incremental() %}
known as (
    select states.*
    from {{ this }} as states
    inner join changed
        on
            states.instrument_id = changed.instrument_id
            and states.simulated = changed.simulated
            and states.bar_number = changed.first_bar_number - 1
    where states.bar_number >= {{ ema_spans() | max }}
),
{% else %}
known as (
    select
        *,
        {%- for name in averages %}
        cast(null as double) as {{ name }},
        {%- endfor %}
        cast(null as double) as macd_signal,
        cast(null as double) as obv_shares
    from bars
    where false
),
{% endif %}

-- In shares of the instrument's first bar, so that no split moves a value.
valued as (
    select
        bars.*,
        bars.close_price * bars.split_ratio_total as close_value,
        bars.high_price * bars.split_ratio_total as high_value,
        bars.low_price * bars.split_ratio_total as low_value,
        bars.volume_shares / bars.split_ratio_total as volume_value,
        coalesce(bars.bar_number = known.bar_number, false) as is_known,
        known.obv_shares / known.split_ratio_total as known_obv_value
    from bars
    inner join changed
        on
            bars.instrument_id = changed.instrument_id
            and bars.simulated = changed.simulated
    left join known
        on
            bars.instrument_id = known.instrument_id
            and bars.simulated = known.simulated
    where bars.bar_number >= coalesce(known.bar_number, 1)
),

with_change as (
    select
        *,
        lag(close_value) over ({{ by_number }}) as previous_close_value,
        close_value - lag(close_value) over ({{ by_number }}) as change_value
    from valued
),

-- The first bar of all has no change: its gain, loss and range are not 0 but unknown.
moved as (
    select
        *,
        case
            when change_value > 0 then change_value
            when change_value <= 0 then 0
        end as gain_value,
        case
            when change_value < 0 then -change_value
            when change_value >= 0 then 0
        end as loss_value,
        case
            when previous_close_value is not null
                then
                    greatest(high_value, previous_close_value)
                    - least(low_value, previous_close_value)
        end as range_value,
        case
            when is_known then known_obv_value
            when bar_number = 1 then volume_value
            else sign(change_value) * volume_value
        end as signed_volume_value
    from with_change
),

first_means as (
    select
        instrument_id,
        simulated,
        {%- for name, average in averages.items() %}
        {{ first_mean(average) }} as {{ name }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from moved
    where bar_number <= {{ ema_spans() | max }}
    group by instrument_id, simulated
),

shares as (
    select
        instrument_id,
        simulated,
        {%- for name in averages %}
        {{ name }} * split_ratio_total as {{ name }},
        {%- endfor %}
        bar_number
    from known
    union all
    select
        moved.instrument_id,
        moved.simulated,
        {%- for name, average in averages.items() %}
        case
            when moved.bar_number = {{ average['first_bar'] }}
                then first_means.{{ name }}
            when moved.bar_number > {{ average['first_bar'] }}
                then moved.{{ average['value'] }} * {{ average['weight'] }}
            else 0
        end as {{ name }},
        {%- endfor %}
        moved.bar_number
    from moved
    left join first_means
        on
            moved.instrument_id = first_means.instrument_id
            and moved.simulated = first_means.simulated
    where not moved.is_known
),

{% for step in range(smoothing_steps()) %}
shares_{{ step + 1 }} as (
    select
        instrument_id,
        simulated,
        {%- for name, average in averages.items() %}
        {{ fourfold_sum(name, average['weight'], step) }} as {{ name }},
        {%- endfor %}
        bar_number
    from shares{{ '_' ~ step if step > 0 }}
),
{% endfor %}
macd as (
    select
        instrument_id,
        simulated,
        bar_number,
        ema_12 - ema_26 as macd_value
    from shares_{{ smoothing_steps() }}
    where bar_number >= 26
),

first_signals as (
    select
        instrument_id,
        simulated,
        avg(macd_value) as macd_signal
    from macd
    where bar_number <= 34
    group by instrument_id, simulated
),

signal_shares as (
    select
        instrument_id,
        simulated,
        bar_number,
        macd_signal * split_ratio_total as macd_signal
    from known
    union all
    select
        macd.instrument_id,
        macd.simulated,
        macd.bar_number,
        case
            when macd.bar_number = 34 then first_signals.macd_signal
            when macd.bar_number > 34 then macd.macd_value * {{ signal_weight }}
            else 0
        end as macd_signal
    from macd
    left join first_signals
        on
            macd.instrument_id = first_signals.instrument_id
            and macd.simulated = first_signals.simulated
    left join known
        on
            macd.instrument_id = known.instrument_id
            and macd.simulated = known.simulated
            and macd.bar_number = known.bar_number
    where known.bar_number is null
),

{% for step in range(smoothing_steps()) %}
signal_shares_{{ step + 1 }} as (
    select
        instrument_id,
        simulated,
        bar_number,
        {{ fourfold_sum('macd_signal', signal_weight, step) }} as macd_signal
    from signal_shares{{ '_' ~ step if step > 0 }}
),
{% endfor %}
-- Back to shares of each bar's own day.
smoothed as (
    select
        moved.instrument_id,
        moved.symbol,
        moved.source,
        moved.currency,
        moved.close_price,
        moved.split_ratio_total,
        {%- for name, average in averages.items() %}
        case
            when moved.bar_number >= {{ average['first_bar'] }}
                then shares_{{ smoothing_steps() }}.{{ name }} / moved.split_ratio_total
        end as {{ name }},
        {%- endfor %}
        case
            when moved.bar_number >= 34
                then
                    signal_shares_{{ smoothing_steps() }}.macd_signal / moved.split_ratio_total
        end as macd_signal,
        sum(moved.signed_volume_value) over (
            partition by moved.instrument_id, moved.simulated
            order by moved.bar_number
        ) * moved.split_ratio_total as obv_shares,
        moved.bar_number,
        moved.is_known,
        moved.is_final,
        moved.simulated,
        moved.session_date,
        moved.as_of,
        moved.batch_id
    from moved
    inner join shares_{{ smoothing_steps() }}
        on
            moved.instrument_id = shares_{{ smoothing_steps() }}.instrument_id
            and moved.simulated = shares_{{ smoothing_steps() }}.simulated
            and moved.bar_number = shares_{{ smoothing_steps() }}.bar_number
    left join signal_shares_{{ smoothing_steps() }}
        on
            moved.instrument_id = signal_shares_{{ smoothing_steps() }}.instrument_id
            and moved.simulated = signal_shares_{{ smoothing_steps() }}.simulated
            and moved.bar_number = signal_shares_{{ smoothing_steps() }}.bar_number
),

new_bars as (
    select * exclude (is_known)
    from smoothed
    where not is_known
)

select * from new_bars
