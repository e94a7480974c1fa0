{#-
    What a mart of whole sessions has to compute: the sessions from the first one on of which a bar or
    an action has arrived since, each with the last load batch that touched it. Reads the model's CTE
    `changes` (silver_daily_changes).
-#}
{% macro changed_sessions() -%}
    select
        session_date,
        max(batch_id) as load_batch_id
    from changes
    where session_date >= {{ first_changed_session('changes') }}
    group by session_date
{%- endmacro %}

{% macro first_changed_session(changes) -%}
    (
        select min(news.session_date)
        from {{ changes }} as news
        where news.batch_id >= {{ window_start_batch('load_batch_id') }}
    )
{%- endmacro %}

{#-
    Pre-hook of such a mart. A correction may leave a session with fewer rows, or none: what is
    computed again is deleted first, not only where a row comes in its place. Less is known to be
    computed afterwards, never more, so that the model's own window still holds every change.
-#}
{% macro forget_changed_sessions() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where session_date >= {{ first_changed_session(ref('silver_daily_changes')) }}
    {%- endif -%}
{%- endmacro %}
