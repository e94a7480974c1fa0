{#- The build that computed a row. Publishing stamps its own id over every row of every mart. -#}
{% macro build_id() -%}
    {%- if execute -%}
        '{{ env_var('TAPEHOUSE_BUILD_ID', invocation_id) }}'
    {%- else -%}
        ''
    {%- endif -%}
{%- endmacro %}

{#- The replay clock: a build's now is the latest fetch seen, never the wall clock. -#}
{% macro given_now() -%}
    {%- if execute and env_var('TAPEHOUSE_NOW', '') -%}
        cast('{{ env_var('TAPEHOUSE_NOW', '') }}' as timestamp)
    {%- elif var('now') -%}
        cast('{{ var('now') }}' as timestamp)
    {%- else -%}
        cast(null as timestamp)
    {%- endif -%}
{%- endmacro %}

{#- Order of preference where several sources describe the same thing: real before simulated. -#}
{% macro source_rank(source='source') -%}
    case {{ source }}
        {%- for name in var('source_priority') %}
        when '{{ name }}' then {{ loop.index }}
        {%- endfor %}
        else {{ var('source_priority') | length + 1 }}
    end
{%- endmacro %}
