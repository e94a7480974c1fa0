{{ config(materialized='table') }}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

actions as (select * from {{ ref('silver_daily_actions') }}),

series as (
    select
        instrument_id,
        simulated,
        min(session_date) as first_session_date
    from bars
    group by instrument_id, simulated
),

-- The real and the made-up bars of an instrument are two series, and an action counts once in each.
-- What is made up happened to no real share.
actions_of_series as (
    select
        actions.instrument_id,
        series.simulated,
        actions.session_date as ex_date,
        series.first_session_date,
        cast(actions.split_ratio as double) as split_ratio,
        cast(actions.dividend_amount as double) as dividend_amount,
        actions.batch_id
    from actions
    inner join series
        on
            actions.instrument_id = series.instrument_id
            and (series.simulated or not actions.simulated)
),

on_their_day as (
    select
        actions_of_series.*,
        bars.session_date as bar_date
    from actions_of_series
    left join bars
        on
            actions_of_series.instrument_id = bars.instrument_id
            and actions_of_series.simulated = bars.simulated
            and actions_of_series.ex_date = bars.session_date
),

-- An action whose day has no bar counts at the next bar there is.
next_bars as (
    select
        on_their_day.instrument_id,
        on_their_day.simulated,
        on_their_day.ex_date,
        min(bars.session_date) as bar_date
    from on_their_day
    inner join bars
        on
            on_their_day.instrument_id = bars.instrument_id
            and on_their_day.simulated = bars.simulated
            and on_their_day.ex_date < bars.session_date
    where
        on_their_day.bar_date is null
        and on_their_day.ex_date > on_their_day.first_session_date
    group by
        on_their_day.instrument_id,
        on_their_day.simulated,
        on_their_day.ex_date
),

placed as (
    select
        on_their_day.instrument_id,
        on_their_day.simulated,
        on_their_day.ex_date,
        on_their_day.batch_id,
        on_their_day.split_ratio,
        on_their_day.dividend_amount,
        coalesce(on_their_day.bar_date, next_bars.bar_date) as bar_date
    from on_their_day
    left join next_bars
        on
            on_their_day.instrument_id = next_bars.instrument_id
            and on_their_day.simulated = next_bars.simulated
            and on_their_day.ex_date = next_bars.ex_date
),

-- A dividend is per share of its day: what splits follow up to the bar divide it.
on_one_basis as (
    select
        instrument_id,
        simulated,
        bar_date,
        split_ratio,
        batch_id,
        dividend_amount
        / exp(
            coalesce(
                sum(ln(split_ratio)) over (
                    partition by instrument_id, simulated, bar_date
                    order by ex_date desc
                    rows between unbounded preceding and 1 preceding
                ),
                0
            )
        ) as dividend_amount
    from placed
    where bar_date is not null
),

per_bar as (
    select
        instrument_id,
        simulated,
        bar_date as session_date,
        -- Twelve decimals: the product of ratios, without the noise of the logarithms.
        cast(round(exp(sum(ln(split_ratio))), 12) as decimal(18, 12))
            as split_ratio,
        cast(round(sum(dividend_amount), 6) as decimal(18, 6))
            as dividend_amount,
        max(batch_id) as batch_id
    from on_one_basis
    group by instrument_id, simulated, bar_date
)

select * from per_bar
