{#- A model that neither drops nor multiplies the rows of the one that it is made from. -#}
{% test same_row_count(model, other) %}

with

counts as (
    select
        (select count(*) from {{ model }}) as n_rows,
        (select count(*) from {{ other }}) as n_expected
)

select *
from counts
where n_rows <> n_expected

{% endtest %}
