{#- Periods of one key, both ends included, follow each other without a gap; only the last is open. -#}
{% test contiguous(model, key, valid_from, valid_to) %}

with

periods as (
    select
        {{ key }} as period_key,
        {{ valid_from }} as first_day,
        {{ valid_to }} as last_day,
        lead({{ valid_from }}) over (
            partition by {{ key }} order by {{ valid_from }}
        ) as next_first_day
    from {{ model }}
)

select *
from periods
where
    last_day < first_day
    or (
        next_first_day is not null
        and coalesce(
            cast({{ dbt.dateadd('day', 1, 'last_day') }} as date)
            <> next_first_day,
            true
        )
    )

{% endtest %}
