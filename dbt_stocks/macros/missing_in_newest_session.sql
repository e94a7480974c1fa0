{#-
    CTEs for the tests of completeness: of the newest session with a finished real bar, the instruments
    that had a bar in the last session before it with any, are still listed, and have none yet
    (`missing`), each with the share of those that have. Fewer than `market_min_instruments` have no
    share, nor has what begins after a pause in which a feed would count as ended.
-#}
{% macro missing_in_newest_session() -%}
bars as (
    select
        instrument_id,
        session_date,
        session_number,
        is_final
    from {{ ref('silver_daily_bars') }}
    where not simulated
),

instruments as (select * from {{ ref('instruments') }}),

newest as (
    select
        max(session_number) as session_number,
        max(session_date) as session_date
    from bars
    where is_final
),

one_before as (
    select max(bars.session_number) as session_number
    from bars
    inner join newest
        on
            bars.session_number < newest.session_number
            and bars.session_number
            >= newest.session_number - {{ var('feed_stale_sessions') }}
),

finished as (
    select bars.instrument_id
    from bars
    inner join newest on bars.session_number = newest.session_number
    where bars.is_final
),

expected as (
    select
        bars.instrument_id,
        newest.session_date
    from bars
    inner join one_before on bars.session_number = one_before.session_number
    cross join newest
    inner join instruments
        on
            bars.instrument_id = instruments.instrument_id
            and newest.session_date >= instruments.valid_from
            and newest.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

compared as (
    select
        expected.instrument_id,
        expected.session_date,
        finished.instrument_id is null as is_missing,
        count(*) over () as n_expected,
        avg(case when finished.instrument_id is null then 0.0e0 else 1.0e0 end)
            over () as share
    from expected
    left join finished on expected.instrument_id = finished.instrument_id
),

missing as (
    select
        instrument_id,
        session_date,
        n_expected,
        share
    from compared
    where is_missing and n_expected >= {{ var('market_min_instruments') }}
)
{%- endmacro %}
