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

{#-
    On-run-start hook: who computes a model again from a batch on that it covers computes the tables
    that stand on it in the same run. Rows of before would otherwise stand on rows that are there no
    more, unseen.
-#}
{% macro require_whole_recomputation() -%}
    {%- if execute and var('from_batch') is not none -%}
        {%- set covered = run_query(
            "select coalesce(max(covered_batch), 0) from ops.model_state where kept_for = ''"
        ).columns[0][0] | int -%}
        {%- set left_out = [] -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' -%}
            {%- if node.config.materialized != 'view'
                and node.unique_id not in selected_resources
                and standing_on(node.unique_id) | select('in', selected_resources) | list -%}
                {%- do left_out.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if left_out and var('from_batch') | int <= covered -%}
            {{ exceptions.raise_compiler_error(
                'expected from_batch with all that stands on the selected models (--select X+), found '
                ~ left_out | sort | join(', ') ~ ' left out'
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
