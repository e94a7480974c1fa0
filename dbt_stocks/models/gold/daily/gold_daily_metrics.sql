{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

{#- Bars of the longest window: beta and the year's high and low. -#}
{%- set longest = 252 %}
{%- set ordered = 'partition by instrument_id, simulated order by session_date'
    ~ ' rows between ' %}
{%- set last = {
    20: '(' ~ ordered ~ '19 preceding and current row)',
    60: '(' ~ ordered ~ '59 preceding and current row)',
    252: '(' ~ ordered ~ '251 preceding and current row)',
} %}

with

returns as (select * from {{ ref('silver_daily_returns') }}),

market as (select * from {{ ref('silver_market_returns') }}),

factors as (select * from {{ ref('fct_adjustment_factor') }}),

-- A new bar and a correction change their instrument's rows from their session on. Real and
-- simulated bars are numbered apart.
own_changes as (
    select
        instrument_id,
        simulated,
        min(bar_number) as first_bar
    from returns
    where batch_id >= {{ window_start_batch() }}
    group by instrument_id, simulated
),

-- A session's market return is in the beta of everybody's bars for the length of a window.
market_changes as (
    select
        returns.instrument_id,
        returns.simulated,
        min(returns.bar_number) as first_bar,
        max(returns.bar_number) + {{ longest - 1 }} as last_bar
    from returns
    inner join market
        on
            returns.session_date = market.session_date
            and returns.simulated = market.simulated
    where market.batch_id >= {{ window_start_batch() }}
    group by returns.instrument_id, returns.simulated
),

-- What is computed, and behind it the bars that its windows reach back to.
read_bars as (
    select
        returns.*,
        coalesce(returns.bar_number >= own_changes.first_bar, false)
        or coalesce(
            returns.bar_number
            between market_changes.first_bar and market_changes.last_bar,
            false
        ) as is_asked
    from returns
    left join own_changes
        on
            returns.instrument_id = own_changes.instrument_id
            and returns.simulated = own_changes.simulated
    left join market_changes
        on
            returns.instrument_id = market_changes.instrument_id
            and returns.simulated = market_changes.simulated
    where
        returns.bar_number >= own_changes.first_bar - {{ longest - 1 }}
        or returns.bar_number
        between market_changes.first_bar - {{ longest - 1 }}
        and market_changes.last_bar
),

with_market as (
    select
        read_bars.*,
        market.market_series,
        market.market_return_1d,
        market.n_instruments as n_market_instruments,
        market.is_final as is_market_final,
        market.batch_id as market_batch_id,
        factors.split_index,
        case when market.market_return_1d is not null then read_bars.return_1d end
            as own_return,
        case when read_bars.return_1d is not null then market.market_return_1d end
            as market_return,
        cast(read_bars.close_price as double) * read_bars.volume_shares as dollar_volume
    from read_bars
    inner join market
        on
            read_bars.session_date = market.session_date
            and read_bars.simulated = market.simulated
    inner join factors
        on
            read_bars.instrument_id = factors.instrument_id
            and read_bars.simulated = factors.simulated
            and read_bars.adjustment_step = factors.adjustment_step
            and factors.convention = 'crsp'
),

with_windows as (
    select
        *,
        {%- for bars in [20, 60] %}
        case
            when count(return_1d_log) over {{ last[bars] }} = {{ bars }}
                then
                    stddev_samp(return_1d_log) over {{ last[bars] }}
                    * sqrt(252)
        end as volatility_{{ bars }}d,
        {%- endfor %}
        case
            when count(*) over {{ last[20] }} = 20
                then avg(dollar_volume) over {{ last[20] }}
        end as dollar_volume_avg_20d,
        -- The sums of a covariance: an engine without it over a moving frame has them.
        sum(own_return * market_return) over {{ last[longest] }}
        - sum(own_return) over {{ last[longest] }}
        * sum(market_return) over {{ last[longest] }}
        / {{ longest }} as co_moment,
        var_samp(market_return) over {{ last[longest] }}
            as market_variance,
        min(case when is_market_final then 1 else 0 end)
            over {{ last[longest] }} as final_markets_flag,
        count(market_return) over {{ last[longest] }} as n_returns,
        count(*) over {{ last[longest] }} as n_bars,
        -- In the shares of the instrument's first bar: what a split does to a price is undone.
        max(cast(high_price as double) * split_index)
            over {{ last[longest] }} as highest,
        min(cast(low_price as double) * split_index)
            over {{ last[longest] }} as lowest,
        max(market_batch_id) over {{ last[longest] }}
            as newest_market_batch_id
    from with_market
),

metrics as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        market_series,
        {{ build_id() }} as build_id,
        open_price,
        high_price,
        low_price,
        close_price,
        close_price_vendor_adj,
        previous_close_price,
        volume_shares,
        split_ratio,
        dividend_amount,
        price_return_1d,
        return_1d,
        return_1d_log,
        gap_return,
        cast(high_price - low_price as decimal(18, 6)) as range_price,
        dollar_volume,
        dollar_volume_avg_20d,
        volatility_20d,
        volatility_60d,
        market_return_1d,
        n_market_instruments,
        case
            when n_returns = {{ longest }}
                then
                    co_moment / {{ longest - 1 }} / nullif(market_variance, 0)
        end as beta_252d,
        case
            when n_bars = {{ longest }}
                then cast(highest / split_index as decimal(18, 6))
        end as high_52w_price,
        case
            when n_bars = {{ longest }}
                then cast(lowest / split_index as decimal(18, 6))
        end as low_52w_price,
        adjustment_step,
        bar_number,
        n_final_bars,
        n_sessions_since_previous,
        greatest(batch_id, newest_market_batch_id) as load_batch_id,
        -- 252 returns are of 253 bars; a beta is of as many returns of the market.
        n_final_bars >= least(bar_number, {{ longest + 1 }})
        and case
            when n_returns = {{ longest }} then final_markets_flag = 1
            else is_market_final
        end as is_final,
        simulated,
        session_date,
        previous_bar_date,
        open_at,
        close_at,
        as_of
    from with_windows
    where is_asked
)

select * from metrics
