{#- A row per key: the columns together (or the one column it stands under), none of them NULL. -#}
{% test unique_combination(model, columns=none, column_name=none, where=none) %}
{%- set columns = columns or [column_name] %}

with

keyed as (
    select {{ columns | join(', ') }}
    from {{ model }}
    {%- if where %}
    where {{ where }}
    {%- endif %}
)

select
    {{ columns | join(', ') }},
    count(*) as n_rows
from keyed
group by {{ columns | join(', ') }}
having
    count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}

{% endtest %}
