{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
        cluster_by=['session_date', 'instrument_id'],
        post_hook='{{ keep_order_alone() }}',
    )
}}

with

trade_bars as (select * from {{ ref('silver_trade_bars') }}),

provider_bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

splits_told as (
    select
        instrument_id,
        max(batch_id) as batch_id
    from actions
    where action_type = 'split'
    group by instrument_id
),

-- A bar of any width may say that minutes have become final; a split that is told of makes every
-- day new of which a source gave the prices adjusted.
touched_days as (
    select
        instrument_id,
        session_date
    from trade_bars
    where batch_id >= {{ window_start_batch() }}
    union
    select
        instrument_id,
        session_date
    from provider_bars
    where bar_interval = '1m' and batch_id >= {{ window_start_batch() }}
    union
    select
        provider_bars.instrument_id,
        provider_bars.session_date
    from provider_bars
    inner join splits_told
        on provider_bars.instrument_id = splits_told.instrument_id
    where
        provider_bars.bar_interval = '1m'
        and provider_bars.adjustment = 'split'
        and splits_told.batch_id >= {{ window_start_batch() }}
),

touched_trade_bars as (
    select
        trade_bars.*,
        instruments.currency
    from trade_bars
    inner join touched_days
        on
            trade_bars.instrument_id = touched_days.instrument_id
            and trade_bars.session_date = touched_days.session_date
    inner join instruments
        on
            trade_bars.symbol = instruments.symbol
            and trade_bars.session_date >= instruments.valid_from
            and trade_bars.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

-- The lake calls a bar final once nothing is waited for up to its end, so that all that ends by
-- then is settled too.
settled as (
    select
        *,
        max(case when is_final then end_at end) over (
            partition by instrument_id, source, simulated, session_date
        ) as settled_until_at,
        max(batch_id) over (
            partition by instrument_id, source, simulated, session_date
        ) as series_batch_id
    from touched_trade_bars
),

of_trades as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        'trades' as made_of,
        open_price,
        high_price,
        low_price,
        close_price,
        vwap as vwap_price,
        cast(round(volume_shares, 0) as bigint) as volume_shares,
        cast(n_trades as bigint) as n_trades,
        is_final,
        simulated,
        session_date,
        start_at,
        settled_until_at,
        as_of,
        series_batch_id as batch_id
    from settled
    where bar_interval = '1m' and segment = 'regular'
),

-- A provider's live row is stamped with its second; the minute's own bar comes after it.
touched_provider_bars as (
    select
        provider_bars.*,
        coalesce(factors.split_factor, 1) as split_factor,
        max(provider_bars.as_of) over (
            partition by
                provider_bars.instrument_id,
                provider_bars.source,
                provider_bars.simulated,
                provider_bars.session_date
        ) as settled_until_at,
        greatest(
            provider_bars.batch_id,
            case
                when provider_bars.adjustment = 'split'
                    then coalesce(splits_told.batch_id, 0)
                else 0
            end
        ) as known_batch_id
    from provider_bars
    inner join touched_days
        on
            provider_bars.instrument_id = touched_days.instrument_id
            and provider_bars.session_date = touched_days.session_date
    left join splits_told
        on provider_bars.instrument_id = splits_told.instrument_id
    left join factors
        on
            provider_bars.adjustment = 'split'
            and provider_bars.instrument_id = factors.instrument_id
            and provider_bars.source = factors.source
            and provider_bars.simulated = factors.simulated
            and provider_bars.session_date = factors.session_date
            and provider_bars.as_of = factors.as_of
    where
        provider_bars.is_current
        and provider_bars.bar_interval = '1m'
        and provider_bars.start_at
        = {{ dbt.date_trunc('minute', 'provider_bars.start_at') }}
),

of_providers as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        'provider_minutes' as made_of,
        {%- for price in ['open_price', 'high_price', 'low_price', 'close_price'] %}
        {{ as_traded(price) }} as {{ price }},
        {%- endfor %}
        (
            cast({{ as_traded('high_price') }} as double)
            + cast({{ as_traded('low_price') }} as double)
            + cast({{ as_traded('close_price') }} as double)
        ) / cast(3 as double) as vwap_price,
        {{ volume_as_traded('volume_shares') }} as volume_shares,
        cast(null as bigint) as n_trades,
        is_final,
        simulated,
        session_date,
        start_at,
        settled_until_at,
        as_of,
        known_batch_id as batch_id
    from touched_provider_bars
),

candidates as (
    select * from of_trades
    union all
    select * from of_providers
),

series as (
    select
        instrument_id,
        session_date,
        source,
        simulated,
        made_of,
        count(open_price) as n_bars,
        max(case when open_price is not null then start_at end)
            as last_start_at,
        max(batch_id) as batch_id
    from candidates
    group by instrument_id, session_date, source, simulated, made_of
),

compared as (
    select
        *,
        max(last_start_at) over (
            partition by instrument_id, session_date, simulated
        ) as furthest_start_at,
        max(n_bars) over (
            partition by instrument_id, session_date, simulated
        ) as most_bars,
        max(batch_id) over (partition by instrument_id, session_date)
            as day_batch_id
    from series
),

-- A session has one series: real before simulated, then one that has fallen behind neither in time
-- nor in number, then the provider's bars, which are of the whole market's trades.
ranked as (
    select
        *,
        row_number() over (
            partition by instrument_id, session_date
            order by
                case when n_bars > 0 then 0 else 1 end,
                simulated,
                case
                    when
                        last_start_at
                        < {{ dbt.dateadd(
                            'minute',
                            -1 * var('minute_bars_may_lag_minutes'),
                            'furthest_start_at'
                        ) }}
                        or n_bars < most_bars * {{ var('minute_bars_min_share') }}
                        then 1
                    else 0
                end,
                made_of,
                {{ source_rank() }},
                source
        ) as preference
    from compared
),

chosen as (
    select
        candidates.instrument_id,
        candidates.symbol,
        candidates.source,
        candidates.currency,
        candidates.made_of,
        candidates.open_price,
        candidates.high_price,
        candidates.low_price,
        candidates.close_price,
        candidates.vwap_price,
        candidates.volume_shares,
        candidates.n_trades,
        cast(
            {{ dbt.datediff(
                'sessions.open_at', 'candidates.start_at', 'minute'
            ) }} as integer
        ) as minute_number,
        candidates.is_final,
        candidates.simulated,
        candidates.session_date,
        candidates.start_at,
        sessions.open_at,
        sessions.close_at,
        candidates.settled_until_at,
        candidates.as_of,
        ranked.day_batch_id as batch_id
    from candidates
    inner join ranked
        on
            candidates.instrument_id = ranked.instrument_id
            and candidates.session_date = ranked.session_date
            and candidates.source = ranked.source
            and candidates.simulated = ranked.simulated
            and candidates.made_of = ranked.made_of
    inner join sessions on candidates.session_date = sessions.session_date
    where ranked.preference = 1
)

select * from chosen
