-- From the bar before an action to its own the index of the holding grows by the total return.
with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

holdings as (select * from {{ ref('gold_drawdown') }}),

action_days as (
    select
        instrument_id,
        simulated,
        session_date,
        previous_bar_date,
        return_1d
    from metrics
    where
        return_1d is not null
        and (split_ratio <> 1 or dividend_amount > 0)
),

different as (
    select
        action_days.instrument_id,
        action_days.session_date,
        action_days.return_1d,
        holdings.total_return_index / earlier.total_return_index - 1
            as index_return
    from action_days
    inner join holdings
        on
            action_days.instrument_id = holdings.instrument_id
            and action_days.session_date = holdings.session_date
    inner join holdings as earlier
        on
            action_days.instrument_id = earlier.instrument_id
            and action_days.previous_bar_date = earlier.session_date
            and holdings.simulated = earlier.simulated
    where
        abs(
            holdings.total_return_index / earlier.total_return_index
            - 1
            - action_days.return_1d
        )
        > 1e-9
)

select * from different
