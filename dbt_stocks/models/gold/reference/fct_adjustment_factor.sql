{%- set per_series = 'partition by instrument_id, simulated, convention'
    ~ ' order by adjustment_step' %}

with

returns as (select * from {{ ref('silver_daily_returns') }}),

-- A step begins with the first bar of a series, real or simulated, and with each bar on which an
-- action counts.
steps as (
    select
        *,
        cast(dividend_amount as double) as dividend,
        cast(split_ratio as double) as ratio,
        cast(close_price as double) as close_value,
        cast(previous_close_price as double) as previous_close
    from returns
    where bar_number = 1 or split_ratio <> 1 or dividend_amount > 0
),

-- What one share and its reinvested dividends become. A dividend that is not smaller than the price
-- before it is an error of its source and adds nothing (test dividends_above_their_price).
growths as (
    select
        *,
        'crsp' as convention,
        case when bar_number > 1 then ratio else 1 end as split_index,
        case
            when bar_number > 1 and previous_close > dividend * ratio
                then previous_close / (previous_close - dividend * ratio)
            else 1
        end as dividend_index
    from steps
    union all
    select
        *,
        'alphavantage' as convention,
        case when bar_number > 1 then ratio else 1 end as split_index,
        case
            when bar_number > 1 and previous_close > dividend * ratio
                then 1 + dividend / close_value
            else 1
        end as dividend_index
    from steps
),

{{ running_products(
    'growths', ['split_index', 'dividend_index'],
    ['instrument_id', 'simulated', 'convention'], 'adjustment_step'
) }},

with_last as (
    select
        *,
        first_value(split_index) over ({{ per_series }} desc)
            as last_split_index,
        first_value(dividend_index) over ({{ per_series }} desc)
            as last_dividend_index
    from growths_multiplied
),

with_periods as (
    select
        *,
        lead(session_date) over ({{ per_series }}) as next_date
    from growths
),

factors as (
    select
        with_periods.instrument_id,
        with_periods.convention,
        with_periods.source,
        {{ build_id() }} as build_id,
        with_periods.adjustment_step,
        with_periods.split_ratio,
        with_periods.dividend_amount,
        with_last.split_index,
        with_last.dividend_index,
        with_last.split_index / with_last.last_split_index as split_factor,
        with_last.dividend_index / with_last.last_dividend_index
            as dividend_factor,
        -- The next action changes every factor before it.
        false as is_final,
        with_periods.simulated,
        with_periods.session_date as valid_from,
        cast(
            {{ dbt.dateadd('day', -1, 'with_periods.next_date') }} as date
        ) as valid_to,
        with_periods.as_of
    from with_periods
    inner join with_last
        on
            with_periods.instrument_id = with_last.instrument_id
            and with_periods.simulated = with_last.simulated
            and with_periods.convention = with_last.convention
            and with_periods.adjustment_step = with_last.adjustment_step
)

select * from factors
