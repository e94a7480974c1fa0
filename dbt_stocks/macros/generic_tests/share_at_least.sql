{#- A tolerance that holds as a rate and not for single rows: of each group's last sessions. -#}
{% test share_at_least(
    model, condition, share, group_by, where='true', n_sessions=63, min_rows=20
) %}

with

by_age as (
    select
        {{ group_by | join(', ') }},
        case when {{ condition }} then 1.0 else 0.0 end as is_fulfilled,
        dense_rank() over (
            partition by {{ group_by | join(', ') }}
            order by session_date desc
        ) as age_rank
    from {{ model }}
    where {{ where }}
)

select
    {{ group_by | join(', ') }},
    count(*) as n_rows,
    avg(is_fulfilled) as share
from by_age
where age_rank <= {{ n_sessions }}
group by {{ group_by | join(', ') }}
having count(*) >= {{ min_rows }} and avg(is_fulfilled) < {{ share }}

{% endtest %}
