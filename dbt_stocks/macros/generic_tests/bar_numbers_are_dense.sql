{#- An instrument's real bars, and its simulated ones, are numbered from 1 in the order of their sessions, without a gap. -#}
{% test bar_numbers_are_dense(model) %}

with

numbered as (
    select
        instrument_id,
        bar_number,
        row_number() over (
            partition by instrument_id, simulated order by session_date
        ) as expected_number
    from {{ model }}
)

select *
from numbered
where bar_number <> expected_number

{% endtest %}
