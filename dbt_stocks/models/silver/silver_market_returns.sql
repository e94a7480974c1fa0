{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='session_date',
        on_schema_change='fail',
    )
}}

with

returns as (select * from {{ ref('silver_daily_returns') }}),

-- Both kinds of a session, real and simulated: a bar may have passed from one to the other.
touched_sessions as (
    select
        session_date,
        max(return_batch_id) as batch_id
    from returns
    group by session_date
    having max(return_batch_id) >= {{ window_start_batch() }}
),

members as (
    select
        returns.session_date,
        returns.simulated,
        returns.return_1d,
        returns.n_final_bars,
        touched_sessions.batch_id
    from returns
    inner join touched_sessions
        on returns.session_date = touched_sessions.session_date
),

per_session as (
    select
        session_date,
        simulated,
        batch_id,
        count(return_1d) as n_instruments,
        avg(return_1d) as mean_return,
        -- A return is of two bars.
        min(
            case when return_1d is not null and n_final_bars < 2 then 0 else 1 end
        ) = 1 as is_final
    from members
    group by session_date, simulated, batch_id
),

market as (
    select
        'equal_weighted_universe' as market_series,
        cast(n_instruments as integer) as n_instruments,
        case
            when n_instruments >= {{ var('market_min_instruments') }}
                then mean_return
        end as market_return_1d,
        is_final,
        simulated,
        session_date,
        batch_id
    from per_session
)

select * from market
