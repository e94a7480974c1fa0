{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

first_bars as (
    select
        instrument_id,
        min(session_date) as session_date
    from bars
    group by instrument_id
),

on_their_day as (
    select
        actions.*,
        bars.session_date as bar_date
    from actions
    left join bars
        on
            actions.instrument_id = bars.instrument_id
            and actions.session_date = bars.session_date
),

-- An action whose day has no bar counts at the next bar there is.
next_bars as (
    select
        on_their_day.instrument_id,
        on_their_day.session_date,
        min(bars.session_date) as bar_date
    from on_their_day
    inner join first_bars
        on
            on_their_day.instrument_id = first_bars.instrument_id
            and on_their_day.session_date > first_bars.session_date
    inner join bars
        on
            on_their_day.instrument_id = bars.instrument_id
            and on_their_day.session_date < bars.session_date
    where on_their_day.bar_date is null
    group by on_their_day.instrument_id, on_their_day.session_date
),

placed as (
    select
        on_their_day.instrument_id,
        on_their_day.session_date as ex_date,
        on_their_day.simulated,
        on_their_day.batch_id,
        cast(on_their_day.split_ratio as double) as split_ratio,
        cast(on_their_day.dividend_amount as double) as dividend_amount,
        coalesce(on_their_day.bar_date, next_bars.bar_date) as bar_date
    from on_their_day
    left join next_bars
        on
            on_their_day.instrument_id = next_bars.instrument_id
            and on_their_day.session_date = next_bars.session_date
),

-- What is made up happened to no real share.
judged as (
    select
        placed.instrument_id,
        placed.bar_date,
        placed.ex_date,
        placed.batch_id,
        case
            when bars.simulated or not placed.simulated
                then placed.split_ratio
            else 1
        end as split_ratio,
        case
            when bars.simulated or not placed.simulated
                then placed.dividend_amount
            else 0
        end as dividend_amount
    from placed
    inner join bars
        on
            placed.instrument_id = bars.instrument_id
            and placed.bar_date = bars.session_date
),

-- A dividend is per share of its day: what splits follow up to the bar divide it.
on_one_basis as (
    select
        instrument_id,
        bar_date,
        split_ratio,
        batch_id,
        dividend_amount
        / exp(
            coalesce(
                sum(ln(split_ratio)) over (
                    partition by instrument_id, bar_date
                    order by ex_date desc
                    rows between unbounded preceding and 1 preceding
                ),
                0
            )
        ) as dividend_amount
    from judged
),

per_bar as (
    select
        instrument_id,
        bar_date as session_date,
        -- Twelve decimals: the product of ratios, without the noise of the logarithms.
        cast(round(exp(sum(ln(split_ratio))), 12) as decimal(18, 12))
            as split_ratio,
        cast(round(sum(dividend_amount), 6) as decimal(18, 6))
            as dividend_amount,
        max(batch_id) as batch_id
    from on_one_basis
    group by instrument_id, bar_date
)

select * from per_bar
