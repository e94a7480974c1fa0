{#-
    What a mart of whole sessions has to compute: the sessions from the first one on of which a metric
    has changed since, each with the last load batch behind it. Reads the model's CTE `metrics`
    (gold_daily_metrics).
-#}
{% macro changed_sessions() -%}
    select
        session_date,
        max(load_batch_id) as load_batch_id
    from metrics
    where session_date >= {{ first_changed_session('metrics') }}
    group by session_date
{%- endmacro %}

{% macro first_changed_session(metrics) -%}
    (
        select min(news.session_date)
        from {{ metrics }} as news
        where news.load_batch_id >= {{ window_start_batch() }}
    )
{%- endmacro %}

{#-
    Pre-hook of such a mart. A correction may leave a session with fewer rows, or none: what is
    computed again is deleted first, not only where a row comes in its place. The window is in the
    model's state, not in its rows, so it is the same afterwards.
-#}
{% macro forget_changed_sessions() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where session_date >= {{ first_changed_session(ref('gold_daily_metrics')) }}
    {%- endif -%}
{%- endmacro %}
