{#-
    CTEs for the tests of completeness: of each of the newest sessions with a finished real bar, the
    instruments that had a bar in one of the sessions before it, are still listed, and have no finished
    one in it (`missing`), each with the share of those that have. As many sessions are looked at, and
    before each, as a feed may lack without having ended: a session that lacks instruments does not
    become whole as the next one comes, nor is it what the next one is compared with alone. Fewer than
    `market_min_instruments` have no share.
-#}
{% macro missing_in_newest_sessions() -%}
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
    select max(session_number) as session_number
    from bars
    where is_final
),

judged_sessions as (
    select
        bars.session_number,
        bars.session_date
    from bars
    inner join newest
        on
            bars.session_number <= newest.session_number
            and bars.session_number
            > newest.session_number - {{ var('feed_stale_sessions') }}
    where bars.is_final
    group by bars.session_number, bars.session_date
),

expected as (
    select
        bars.instrument_id,
        judged_sessions.session_number,
        judged_sessions.session_date
    from judged_sessions
    inner join bars
        on
            judged_sessions.session_number > bars.session_number
            and judged_sessions.session_number
            - {{ var('feed_stale_sessions') }} <= bars.session_number
    inner join instruments
        on
            bars.instrument_id = instruments.instrument_id
            and judged_sessions.session_date >= instruments.valid_from
            and judged_sessions.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
    group by
        bars.instrument_id,
        judged_sessions.session_number,
        judged_sessions.session_date
),

compared as (
    select
        expected.instrument_id,
        expected.session_date,
        finished.instrument_id is null as is_missing,
        count(*) over (partition by expected.session_date) as n_expected,
        avg(case when finished.instrument_id is null then 0.0e0 else 1.0e0 end)
            over (partition by expected.session_date) as share
    from expected
    left join bars as finished
        on
            expected.instrument_id = finished.instrument_id
            and expected.session_number = finished.session_number
            and finished.is_final
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
