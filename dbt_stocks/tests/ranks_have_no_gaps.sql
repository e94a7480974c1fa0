-- Movers are ranked 1 to n; a volatility is ranked among all of its session.
with

movers as (select * from {{ ref('gold_movers') }}),

volatility_ranks as (select * from {{ ref('gold_volatility_rank') }}),

mover_gaps as (
    select
        session_date,
        direction as ranking
    from movers
    group by session_date, simulated, direction
    having count(*) <> max(rank) or count(distinct rank) <> count(*)
),

volatility_gaps as (
    select
        session_date,
        'volatility' as ranking
    from volatility_ranks
    group by session_date, simulated
    having
        count(*) <> max(n_ranked)
        or count(*) <> min(n_ranked)
        or min(volatility_rank) <> 1
),

gaps as (
    select * from mover_gaps
    union all
    select * from volatility_gaps
)

select * from gaps
