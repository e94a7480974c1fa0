{#-
    CTEs that put the bars of each candle together: first open, highest high, lowest low, last close,
    sum of volume. `<relation>_rolled` has one row per instrument, interval and start; it is final
    when every bar in it is, and what is settled reaches its end.
-#}
{% macro roll_up(relation) -%}
{{ relation }}_numbered as (
    select
        *,
        row_number() over (
            partition by instrument_id, candle_interval, bar_start_at
            order by start_at
        ) as number_in_candle,
        row_number() over (
            partition by instrument_id, candle_interval, bar_start_at
            order by start_at desc
        ) as number_from_end
    from {{ relation }}
),

{{ relation }}_rolled as (
    select
        instrument_id,
        max(case when number_from_end = 1 then symbol end) as symbol,
        max(case when number_from_end = 1 then source end) as source,
        max(case when number_from_end = 1 then made_of end) as made_of,
        max(case when number_from_end = 1 then currency end) as currency,
        candle_interval,
        max(case when number_in_candle = 1 then open_price end) as open_price,
        max(high_price) as high_price,
        min(low_price) as low_price,
        max(case when number_from_end = 1 then close_price end) as close_price,
        cast(sum(volume_shares) as bigint) as volume_shares,
        cast(count(*) as integer) as n_bars,
        cast(max(n_bars_expected) as integer) as n_bars_expected,
        min(case when is_final then 1 else 0 end) = 1
        and coalesce(max(settled_until_at) >= bar_end_at, false) as is_final,
        simulated,
        max(session_date) as session_date,
        bar_start_at,
        bar_end_at,
        max(settled_until_at) as settled_until_at,
        max(as_of) as as_of,
        max(load_batch_id) as load_batch_id
    from {{ relation }}_numbered
    group by
        instrument_id, candle_interval, simulated, bar_start_at, bar_end_at
)
{%- endmacro %}
