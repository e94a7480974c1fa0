{{ config(severity='warn', meta={'dimension': 'completeness'}) }}

-- Current daily bars of which no metric has arrived, or only one of a bar in quarantine.
with

bars as (select * from {{ ref('silver_daily_bars') }}),

metrics as (select * from {{ ref('daily_stock_metrics') }}),

without_metric as (
    select
        bars.symbol,
        bars.session_date
    from bars
    left join metrics
        on
            bars.symbol = metrics.symbol
            and bars.session_date = metrics.session_date
    where metrics.symbol is null
)

select * from without_metric
