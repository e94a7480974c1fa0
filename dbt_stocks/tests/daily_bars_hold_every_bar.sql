{{ config(meta={'dimension': 'completeness'}) }}

-- Sessions of which silver has a valid daily bar of some source, and the chosen bars have none.
with

bars as (select * from {{ ref('silver_bars') }}),

daily_bars as (select * from {{ ref('silver_daily_bars') }}),

given as (
    select
        instrument_id,
        session_date
    from bars
    where bar_interval = '1d' and is_current
    group by instrument_id, session_date
),

lost as (
    select
        given.instrument_id,
        given.session_date
    from given
    left join daily_bars
        on
            given.instrument_id = daily_bars.instrument_id
            and given.session_date = daily_bars.session_date
    where daily_bars.instrument_id is null
)

select * from lost
