{#-
    Pre-hook of gold_candlestick. A correction may leave a candle without a bar: those of what has
    changed are deleted first, intraday ones by session, days and weeks by week.
-#}
{% macro forget_changed_candles() -%}
    {%- if is_incremental() -%}
    {%- set start = window_start_batch() -%}
    delete from {{ this }}
    where
        (
            candle_interval not in ('1d', '1w')
            and concat(instrument_id, ' ', cast(session_date as varchar)) in (
                select concat(news.instrument_id, ' ', cast(news.session_date as varchar))
                from {{ ref('silver_minute_bars') }} as news
                where news.batch_id >= {{ start }}
            )
        )
        or (
            candle_interval in ('1d', '1w')
            and concat(instrument_id, ' ', cast({{ week_start('session_date') }} as varchar)) in (
                {%- for relation in ['silver_minute_bars', 'silver_daily_bars', 'silver_daily_actions'] %}
                select concat(
                    news.instrument_id, ' ', cast({{ week_start('news.session_date') }} as varchar)
                )
                from {{ ref(relation) }} as news
                where news.batch_id >= {{ start }}
                {{- ' union ' if not loop.last }}
                {%- endfor %}
            )
        )
    {%- endif -%}
{%- endmacro %}

{#- The Monday of a session's week. -#}
{% macro week_start(session_date) -%}
    cast({{ dbt.date_trunc('week', session_date) }} as date)
{%- endmacro %}

{#-
    Pre-hook of a mart of sessions' minutes: what is computed again is deleted first, since a
    correction may leave a session without a bar.
-#}
{% macro forget_changed_minutes() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where concat(instrument_id, ' ', cast(session_date as varchar)) in (
        select concat(news.instrument_id, ' ', cast(news.session_date as varchar))
        from {{ ref('silver_minute_bars') }} as news
        where news.batch_id >= {{ window_start_batch() }}
    )
    {%- endif -%}
{%- endmacro %}
