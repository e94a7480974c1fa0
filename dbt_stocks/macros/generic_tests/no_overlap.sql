{#- Periods of one key, both ends included, do not overlap. -#}
{% test no_overlap(model, key, valid_from, valid_to) %}

with

periods as (
    select
        {{ key }},
        {{ valid_from }},
        lag(coalesce({{ valid_to }}, cast('9999-12-31' as date))) over (
            partition by {{ key }} order by {{ valid_from }}
        ) as previous_end
    from {{ model }}
)

select *
from periods
where {{ valid_from }} <= previous_end

{% endtest %}
