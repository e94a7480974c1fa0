{#- One action is often told with two ex-dates: by two sources, or by one that has corrected itself.
    Of two equal values within `same_action_days` the one of the preferred source holds. The others keep
    their day, with a value that changes nothing. Sources round, and one divides by later splits and
    rounds then: values are equal within `same_action_tolerance`. Tellings of any values that follow
    each other within so many days are a chain, and every day has its chain's newest batch: whatever a
    telling moves, or leaves behind as its value changes, is computed again. -#}

{#- Select list's source: one row per instrument and ex-date of `tellings`, with its chain. -#}
{% macro chains_of(tellings) %}
    select
        instrument_id,
        ex_date,
        chain,
        max(batch_id) over (partition by instrument_id, chain) as batch_id
    from (
        select
            days_with_gaps.*,
            sum(begins) over (
                partition by instrument_id
                order by ex_date
                rows between unbounded preceding and current row
            ) as chain
        from (
            select
                instrument_id,
                ex_date,
                max(batch_id) as batch_id,
                case
                    when
                        ex_date <= {{ dbt.dateadd(
                            'day', var('same_action_days'),
                            'lag(ex_date) over (partition by instrument_id order by ex_date)'
                        ) }}
                        then 0
                    else 1
                end as begins
            from {{ tellings }}
            group by instrument_id, ex_date
        ) as days_with_gaps
    ) as chained_days
{% endmacro %}

{#- CTEs: `judged` has the rows of `tellings`, and whether each holds. -#}
{% macro judged_tellings(tellings, value) -%}
ranked_tellings as (
    select
        *,
        row_number() over (
            partition by instrument_id
            order by simulated, {{ source_rank() }}, source, as_of desc, ex_date desc
        ) as telling_preference
    from {{ tellings }}
),

told_again as (
    select
        copies.instrument_id,
        copies.ex_date
    from ranked_tellings as copies
    inner join ranked_tellings as originals
        on
            copies.instrument_id = originals.instrument_id
            and copies.telling_preference > originals.telling_preference
            and originals.ex_date
            between {{ dbt.dateadd('day', -1 * var('same_action_days'), 'copies.ex_date') }}
            and {{ dbt.dateadd('day', var('same_action_days'), 'copies.ex_date') }}
            and abs(copies.{{ value }} - originals.{{ value }})
            <= {{ var('same_action_tolerance') }}
            * greatest(copies.{{ value }}, originals.{{ value }})
    group by copies.instrument_id, copies.ex_date
),

judged as (
    select
        ranked_tellings.*,
        told_again.ex_date is null as is_holding
    from ranked_tellings
    left join told_again
        on
            ranked_tellings.instrument_id = told_again.instrument_id
            and ranked_tellings.ex_date = told_again.ex_date
)
{%- endmacro %}
