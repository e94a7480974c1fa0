{#- One action is often told with two ex-dates: by two sources, or by one that has corrected itself.
    Of equal values that follow each other within `same_action_days`, a run, one holds. The others keep
    their day, with a value that changes nothing. Tellings of any values that follow each other so are
    a chain, and every day has its chain's newest batch: whatever a telling moves, or leaves behind as
    its value changes, is computed again. -#}

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

{#- Select list's source: the rows with the number of their run of equal values. -#}
{% macro runs_of(tellings, value) %}
    select
        days_with_gaps.*,
        sum(begins) over (
            partition by instrument_id, {{ value }}
            order by ex_date
            rows between unbounded preceding and current row
        ) as run
    from (
        select
            {{ tellings }}.*,
            case
                when
                    ex_date <= {{ dbt.dateadd(
                        'day', var('same_action_days'),
                        'lag(ex_date) over (partition by instrument_id, ' ~ value ~ ' order by ex_date)'
                    ) }}
                    then 0
                else 1
            end as begins
        from {{ tellings }}
    ) as days_with_gaps
{% endmacro %}

{#- True for the telling that holds among the equal `value`s of its run. -#}
{% macro is_holding(value) -%}
    row_number() over (
        partition by instrument_id, {{ value }}, run
        order by simulated, {{ source_rank() }}, source, as_of desc, ex_date desc
    ) = 1
{%- endmacro %}
