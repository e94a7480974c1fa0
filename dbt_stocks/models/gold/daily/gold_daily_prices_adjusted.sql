{{ config(materialized='view') }}

with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

factors as (select * from {{ ref('fct_adjustment_factor') }}),

adjusted as (
    select
        metrics.instrument_id,
        metrics.symbol,
        metrics.source,
        metrics.currency,
        factors.convention,
        metrics.build_id,
        {%- for price in ['open_price', 'high_price', 'low_price', 'close_price'] %}
        metrics.{{ price }},
        cast(metrics.{{ price }} as double)
        * factors.split_factor
        * factors.dividend_factor as {{ price }}_adj,
        {%- endfor %}
        metrics.volume_shares,
        metrics.volume_shares / factors.split_factor as volume_shares_adj,
        factors.split_factor,
        factors.dividend_factor,
        metrics.n_final_bars > 0 as is_final,
        metrics.simulated,
        metrics.session_date,
        metrics.as_of
    from metrics
    inner join factors
        on
            metrics.instrument_id = factors.instrument_id
            and metrics.simulated = factors.simulated
            and metrics.adjustment_step = factors.adjustment_step
)

select * from adjusted
