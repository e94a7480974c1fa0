with

bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

first_bars as (
    select
        instrument_id,
        min(session_date) as session_date,
        max(case when adjustment = 'split' then 1 else 0 end) = 1
            as is_adjusted
    from bars
    where bar_interval = '1d'
    group by instrument_id
),

bars_told as (
    select
        event_id,
        instrument_id,
        'bar' as change_kind,
        session_date,
        batch_id
    from bars
    where bar_interval = '1d'
),

actions_told as (
    select
        event_id,
        instrument_id,
        'action' as change_kind,
        ex_date as session_date,
        batch_id
    from actions
),

-- Where a source adjusts its prices, a split says what those before it were as traded.
history_rebased as (
    select
        actions.event_id,
        actions.instrument_id,
        'rebasing' as change_kind,
        first_bars.session_date,
        actions.batch_id
    from actions
    inner join first_bars on actions.instrument_id = first_bars.instrument_id
    where
        actions.action_type = 'split'
        and first_bars.is_adjusted
        and first_bars.session_date < actions.ex_date
),

changes as (
    select * from bars_told
    union all
    select * from actions_told
    union all
    select * from history_rebased
)

select * from changes
