{% macro candle_columns() -%}
        instrument_id,
        symbol,
        source,
        made_of,
        currency,
        candle_interval,
        open_price,
        high_price,
        low_price,
        close_price,
        volume_shares,
        n_bars,
        n_bars_expected,
        is_final,
        simulated,
        session_date,
        bar_start_at,
        bar_end_at,
        settled_until_at,
        as_of,
        load_batch_id
{%- endmacro %}

{#- Candles made of minutes and how many they are on the session's grid; a day is more than any. -#}
{% macro candle_minutes() -%}
    {{- return({'1m': 1, '5m': 5, '15m': 15, '1h': 60, '4h': 240, '1d': 1440}) -}}
{%- endmacro %}
