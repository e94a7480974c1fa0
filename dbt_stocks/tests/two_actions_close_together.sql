{{ config(severity='warn') }}

-- Two actions of a kind within days of each other, of different values: most likely one, whose
-- tellings differ in day and value, and both count.
with

held as (
    select
        instrument_id,
        'split' as action_type,
        split_ratio as told_value,
        ex_date
    from {{ ref('silver_splits') }}
    where is_holding and split_ratio <> 1
    union all
    select
        instrument_id,
        'dividend' as action_type,
        dividend_amount as told_value,
        ex_date
    from {{ ref('silver_dividends') }}
    where is_holding and dividend_amount <> 0
),

with_previous as (
    select
        *,
        lag(ex_date) over (
            partition by instrument_id, action_type order by ex_date
        ) as previous_ex_date,
        lag(told_value) over (
            partition by instrument_id, action_type order by ex_date
        ) as previous_value
    from held
)

select * from with_previous
where
    ex_date <= {{ dbt.dateadd(
        'day', var('same_action_days'), 'previous_ex_date'
    ) }}
