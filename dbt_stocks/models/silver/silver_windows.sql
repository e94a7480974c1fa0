with

windows as (select * from {{ ref('bronze_realtime_stock_analytics') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

placed as (
    select
        windows.*,
        instruments.instrument_id
    from windows
    inner join sessions on windows.session_date = sessions.session_date
    inner join instruments
        on
            windows.symbol = instruments.symbol
            and windows.session_date >= instruments.valid_from
            and windows.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
)

select * from placed
