{#-
    Running products of columns without logarithms and without recursion: the product of the last n
    rows, times that of the n rows before them, is the product of the last 2 n. Eleven rounds reach
    over 2,048 rows. A row's digits depend on the rows before it alone, so a row that comes later
    changes none of them, and products of whole numbers are exact; a recursive CTE would need a step
    a row, of which Snowflake allows a hundred.

    Gives the CTEs `<relation>_by_2`, `<relation>_by_4`, ... and `<relation>_multiplied`, one row per
    row of `relation`, with the columns of `keys`, the column `number` and the products under the
    names of `columns`.
-#}
{% macro running_products(relation, columns, keys, number) -%}
    {%- set rounds = 11 -%}
    {%- for round in range(rounds) %}
        {%- set reach = 2 ** round %}
{{ relation }}_{{ 'multiplied' if loop.last else 'by_' ~ 2 * reach }} as (
    select
        {{ keys | join(', ') }},
        {{ number }}
        {%- for column in columns %},
        {{ column }} * lag({{ column }}, {{ reach }}, cast(1 as double)) over (
            partition by {{ keys | join(', ') }} order by {{ number }}
        ) as {{ column }}
        {%- endfor %}
    from {{ relation if loop.first else relation ~ '_by_' ~ reach }}
){{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
