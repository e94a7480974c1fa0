-- No tile is missing, doubled or in two sectors: what the sectors traded is what the session
-- traded.
with

tiles as (select * from {{ ref('gold_treechart') }}),

metrics as (select * from {{ ref('gold_daily_metrics') }}),

by_sector as (
    select
        session_date,
        sector,
        sum(size_dollar_volume) as dollar_volume
    from tiles
    group by session_date, sector
),

of_sectors as (
    select
        session_date,
        sum(dollar_volume) as dollar_volume
    from by_sector
    group by session_date
),

totals as (
    select
        session_date,
        sum(dollar_volume) as dollar_volume
    from metrics
    group by session_date
),

different as (
    select
        totals.session_date,
        totals.dollar_volume,
        of_sectors.dollar_volume as of_sectors
    from totals
    left join of_sectors on totals.session_date = of_sectors.session_date
    where
        coalesce(abs(totals.dollar_volume - of_sectors.dollar_volume), 1)
        > 1e-9 * totals.dollar_volume
)

select * from different
