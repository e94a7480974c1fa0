{#-
    The one mechanism of incremental models: everything from `window_start_batch()` on is new, which is
    what comes after the batches that the model's state covers (`model_state.sql`). Load batches are
    numbered under the project lock, so a batch cannot appear behind one that was covered: the
    look-back is zero by construction and not by a guess about lateness. Late *events* arrive in new
    batches and are found by their business key. The newest batch *in* a table says nothing: one that
    joins two parents has a batch's rows of the one when the other has yet to judge it.
-#}
{% macro window_start_batch() -%}
    {%- if not is_incremental() -%}
        0
    {%- else -%}
        {%- do ask_model_state() -%}
        {%- set first = model['state'].first_batch -%}
        {{ first if var('from_batch') is none else [var('from_batch') | int, first] | min }}
    {%- endif -%}
{%- endmacro %}
