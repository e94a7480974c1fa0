{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

{%- set sma_widths = [5, 10, 15, 20, 30, 50, 200] %}
{%- set by_number = 'partition by instrument_id, simulated order by bar_number' %}

with

bars as (select * from {{ ref('silver_smoothed_bars') }}),

changed as (
    select
        instrument_id,
        simulated,
        min(bar_number) as first_bar_number
    from bars
    where batch_id >= {{ window_start_batch() }}
    group by instrument_id, simulated
),

-- With as many bars before the first new one as the longest window looks back on.
with_history as (
    select
        bars.*,
        bars.close_price * bars.split_ratio_total as close_value,
        bars.bar_number >= changed.first_bar_number as is_new
    from bars
    inner join changed
        on
            bars.instrument_id = changed.instrument_id
            and bars.simulated = changed.simulated
    where
        bars.bar_number
        > changed.first_bar_number - {{ sma_widths | max }}
),

windowed as (
    select
        *,
        {%- for width in sma_widths %}
        case
            when bar_number >= {{ width }}
                then
                    avg(close_value) over (
                        {{ by_number }}
                        rows between {{ width - 1 }} preceding and current row
                    ) / split_ratio_total
        end as sma_{{ width }},
        {%- endfor %}
        case
            when bar_number >= 20
                then
                    stddev_pop(close_value) over (
                        {{ by_number }}
                        rows between 19 preceding and current row
                    ) / split_ratio_total
        end as deviation_20
    from with_history
),

indicators as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        {{ build_id() }} as build_id,
        close_price,
        {%- for width in sma_widths %}
        sma_{{ width }},
        {%- endfor %}
        {%- for span in ema_spans() %}
        ema_{{ span }},
        {%- endfor %}
        -- NULL as well where the price has never moved: a share of nothing.
        100 * (
            average_gain_14 / nullif(average_gain_14 + average_loss_14, 0)
        ) as rsi_14,
        ema_12 - ema_26 as macd_line,
        macd_signal,
        ema_12 - ema_26 - macd_signal as macd_histogram,
        sma_20 as bollinger_middle,
        sma_20 + 2 * deviation_20 as bollinger_upper,
        sma_20 - 2 * deviation_20 as bollinger_lower,
        atr_14,
        obv_shares,
        bar_number as n_bars,
        batch_id as load_batch_id,
        is_final,
        simulated,
        session_date,
        as_of
    from windowed
    where is_new
)

select * from indicators
