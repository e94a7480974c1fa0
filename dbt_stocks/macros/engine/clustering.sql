{#-
    Post-hook of a table with `cluster_by`: a full build is written in that order, and the key goes
    again, since it would start Automatic Clustering. An increment finds none.
-#}
{% macro keep_order_alone() %}
    {{- return(adapter.dispatch('keep_order_alone')()) -}}
{% endmacro %}

{% macro duckdb__keep_order_alone() -%}
{%- endmacro %}

{% macro snowflake__keep_order_alone() -%}
    {%- if execute and model['state'].is_new -%}
    alter table {{ this }} drop clustering key
    {%- endif -%}
{%- endmacro %}
