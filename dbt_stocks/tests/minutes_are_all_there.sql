-- Every session with minute bars has its series, and the series has all the bars of its source: an
-- increment that has passed over some of them is seen.
with

trade_bars as (select * from {{ ref('silver_trade_bars') }}),

provider_bars as (select * from {{ ref('silver_bars') }}),

minutes as (select * from {{ ref('silver_minute_bars') }}),

given as (
    select
        instrument_id,
        session_date,
        source,
        simulated,
        'trades' as made_of,
        count(*) as n_bars,
        sum(n_trades) as n_trades,
        sum(round(volume_shares, 0)) as volume_shares
    from trade_bars
    where bar_interval = '1m' and segment = 'regular'
    group by instrument_id, session_date, source, simulated
    union all
    select
        instrument_id,
        session_date,
        source,
        simulated,
        'provider_minutes' as made_of,
        count(*) as n_bars,
        null as n_trades,
        null as volume_shares
    from provider_bars
    where
        bar_interval = '1m'
        and is_current
        and start_at = {{ dbt.date_trunc('minute', 'start_at') }}
    group by instrument_id, session_date, source, simulated
),

taken as (
    select
        instrument_id,
        session_date,
        source,
        simulated,
        made_of,
        count(*) as n_bars,
        sum(n_trades) as n_trades,
        sum(volume_shares) as volume_shares
    from minutes
    group by instrument_id, session_date, source, simulated, made_of
),

compared as (
    select
        given.instrument_id,
        given.session_date,
        count(taken.n_bars) as n_series,
        count(
            case
                when
                    taken.n_bars <> given.n_bars
                    or taken.n_trades <> given.n_trades
                    or (
                        given.volume_shares is not null
                        and taken.volume_shares <> given.volume_shares
                    )
                    then 1
            end
        ) as n_different
    from given
    left join taken
        on
            given.instrument_id = taken.instrument_id
            and given.session_date = taken.session_date
            and given.source = taken.source
            and given.simulated = taken.simulated
            and given.made_of = taken.made_of
    group by given.instrument_id, given.session_date
),

different as (
    select *
    from compared
    where n_series <> 1 or n_different > 0
)

select * from different
