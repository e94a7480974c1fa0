{#- `offset` is a reserved word of DuckDB and none of Snowflake's, where quoting would also fix its
    case: one spelling per engine. -#}
{% macro offset_column(prefix='') %}
    {{- return(adapter.dispatch('offset_column')(prefix)) -}}
{% endmacro %}

{% macro duckdb__offset_column(prefix) -%}
    {{ prefix ~ '.' if prefix }}"offset"
{%- endmacro %}

{% macro snowflake__offset_column(prefix) -%}
    {{ prefix ~ '.' if prefix }}offset
{%- endmacro %}

{#- Milliseconds since 1970 as a timestamp, UTC, without zone. -#}
{% macro timestamp_from_ms(value) %}
    {{- return(adapter.dispatch('timestamp_from_ms')(value)) -}}
{% endmacro %}

{% macro duckdb__timestamp_from_ms(value) -%}
    make_timestamp(({{ value }}) * 1000)
{%- endmacro %}

{% macro snowflake__timestamp_from_ms(value) -%}
    to_timestamp_ntz({{ value }}, 3)
{%- endmacro %}
