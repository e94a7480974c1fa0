{#- What differs between the engines in reading VARIANT; everything else is the same text. -#}

{% macro json_text(value) %}
    {{- return(adapter.dispatch('json_text')(value)) -}}
{% endmacro %}

{% macro duckdb__json_text(value) -%}
    cast(cast({{ value }} as json) as varchar)
{%- endmacro %}

{% macro snowflake__json_text(value) -%}
    to_json({{ value }})
{%- endmacro %}

{% macro is_json_number(value) %}
    {{- return(adapter.dispatch('is_json_number')(value)) -}}
{% endmacro %}

{% macro duckdb__is_json_number(value) -%}
    regexp_matches(variant_typeof({{ value }}), '^(U?INT|UINT|FLOAT|DOUBLE|DECIMAL)')
{%- endmacro %}

{% macro snowflake__is_json_number(value) -%}
    coalesce(typeof({{ value }}) in ('INTEGER', 'DECIMAL', 'DOUBLE'), false)
{%- endmacro %}

{% macro is_json_object(value) %}
    {{- return(adapter.dispatch('is_json_object')(value)) -}}
{% endmacro %}

{% macro duckdb__is_json_object(value) -%}
    regexp_matches(variant_typeof({{ value }}), '^OBJECT')
{%- endmacro %}

{% macro snowflake__is_json_object(value) -%}
    coalesce(typeof({{ value }}) = 'OBJECT', false)
{%- endmacro %}

{% macro is_json_text(value, pattern) %}
    {{- return(adapter.dispatch('is_json_text')(value, pattern)) -}}
{% endmacro %}

{% macro duckdb__is_json_text(value, pattern) -%}
    coalesce(
        variant_typeof({{ value }}) = 'VARCHAR'
        and regexp_full_match(cast({{ value }} as varchar), {{ pattern }}),
        false
    )
{%- endmacro %}

{% macro snowflake__is_json_text(value, pattern) -%}
    coalesce(
        typeof({{ value }}) = 'VARCHAR'
        and regexp_like(cast({{ value }} as varchar), {{ pattern }}),
        false
    )
{%- endmacro %}
