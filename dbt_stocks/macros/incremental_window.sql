{#-
    The one mechanism of incremental models: everything from `window_start_batch()` on is new. Load
    batches are numbered under the project lock, so a batch cannot appear behind one that was
    computed: the look-back is zero by construction and not by a guess about lateness. Late *events*
    arrive in new batches and are found by their business key.
-#}
{% macro window_start_batch(column='batch_id') -%}
    {%- if not is_incremental() -%}
        0
    {%- elif var('from_batch') is not none -%}
        {{ var('from_batch') }}
    {%- else -%}
        (select coalesce(max({{ column }}), 0) + 1 from {{ this }})
    {%- endif -%}
{%- endmacro %}
