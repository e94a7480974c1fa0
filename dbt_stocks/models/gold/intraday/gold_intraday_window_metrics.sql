{%- set window_minutes = {'5m': 5, '15m': 15, '1h': 60} -%}
{%- set trailing_minutes = {'15m': 15, '1h': 60} -%}
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'window_size', 'window_start_at'],
        on_schema_change='fail',
        cluster_by=['session_date', 'instrument_id'],
        post_hook='{{ keep_order_alone() }}',
        pre_hook='{{ forget_changed_minutes() }}',
    )
}}

with

minute_bars as (select * from {{ ref('silver_minute_bars') }}),

minutes as (
    select
        *,
        cast(close_price as double) as close_value,
        -- The first minute's return is from its open: a window from the open on is whole.
        ln(
            cast(close_price as double) / cast(
                coalesce(
                    lag(close_price) over (
                        partition by instrument_id, session_date
                        order by minute_number
                    ),
                    open_price
                ) as double
            )
        ) as return_log
    from minute_bars
    where
        batch_id >= {{ window_start_batch() }}
        and open_price is not null
),

sizes as (
    {%- for name, width in window_minutes.items() %}
    select
        '{{ name }}' as window_size,
        {{ width }} as n_minutes
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

placed as (
    select
        minutes.*,
        sizes.window_size,
        sizes.n_minutes,
        minutes.minute_number - mod(minutes.minute_number, sizes.n_minutes)
            as first_minute
    from minutes
    cross join sizes
),

numbered as (
    select
        *,
        row_number() over (
            partition by instrument_id, session_date, window_size, first_minute
            order by minute_number
        ) as number_in_window,
        row_number() over (
            partition by instrument_id, session_date, window_size, first_minute
            order by minute_number desc
        ) as number_from_end
    from placed
),

merged as (
    select
        instrument_id,
        max(symbol) as symbol,
        source,
        made_of,
        currency,
        window_size,
        max(case when number_in_window = 1 then open_price end) as open_price,
        max(high_price) as high_price,
        min(low_price) as low_price,
        max(case when number_from_end = 1 then close_price end) as close_price,
        sum(vwap_price * cast(volume_shares as double)) as traded_value,
        cast(sum(volume_shares) as bigint) as volume_shares,
        cast(sum(n_trades) as bigint) as n_trades,
        cast(count(*) as integer) as n_obs,
        n_minutes,
        first_minute,
        min(case when is_final then 1 else 0 end) = 1 as are_all_final,
        simulated,
        session_date,
        open_at,
        close_at,
        {{ dbt.dateadd('minute', 'first_minute', 'open_at') }}
            as window_start_at,
        least(
            {{ dbt.dateadd('minute', 'first_minute + n_minutes', 'open_at') }},
            close_at
        ) as window_end_at,
        max(settled_until_at) as settled_until_at,
        max(as_of) as as_of,
        max(batch_id) as load_batch_id
    from numbered
    group by
        instrument_id,
        source,
        made_of,
        currency,
        window_size,
        n_minutes,
        first_minute,
        simulated,
        session_date,
        open_at,
        close_at
),

ended as (
    select
        *,
        cast(
            {{ dbt.datediff('open_at', 'window_end_at', 'minute') }} as integer
        ) as end_minute
    from merged
),

-- What had been traded up to a window's end, and nothing after it.
looked_at as (
    select
        ended.instrument_id,
        ended.window_size,
        ended.window_start_at,
        {%- for name, width in trailing_minutes.items() %}
        ended.end_minute >= {{ width }}
        and ended.end_minute - {{ width }} <= minutes.minute_number
            as is_in_{{ name }},
        {%- endfor %}
        minutes.close_value,
        minutes.return_log * minutes.return_log as return_log_squared
    from ended
    inner join minutes
        on
            ended.instrument_id = minutes.instrument_id
            and ended.session_date = minutes.session_date
            and ended.end_minute > minutes.minute_number
            and ended.end_minute - {{ trailing_minutes.values() | max }}
            <= minutes.minute_number
),

looking_back as (
    select
        {%- for name in trailing_minutes %}
        avg(case when is_in_{{ name }} then close_value end) as ma_{{ name }},
        sqrt(sum(case when is_in_{{ name }} then return_log_squared end))
            as rv_{{ name }},
        cast(count(case when is_in_{{ name }} then 1 end) as integer)
            as n_obs_{{ name }},
        {%- endfor %}
        instrument_id,
        window_size,
        window_start_at
    from looked_at
    group by instrument_id, window_size, window_start_at
),

with_periods as (
    select
        {%- for n in [5, 15, 30] %}
        case
            when
                row_number() over (
                    partition by instrument_id, session_date, window_size
                    order by window_start_at
                ) >= {{ n }}
                then
                    avg(cast(close_price as double)) over (
                        partition by instrument_id, session_date, window_size
                        order by window_start_at
                        rows between {{ n - 1 }} preceding and current row
                    )
        end as ma_{{ n }}_periods,
        {%- endfor %}
        *
    from ended
),

windows as (
    select
        with_periods.instrument_id,
        with_periods.symbol,
        with_periods.source,
        with_periods.made_of,
        with_periods.currency,
        with_periods.window_size,
        {{ build_id() }} as build_id,
        with_periods.open_price,
        with_periods.high_price,
        with_periods.low_price,
        with_periods.close_price,
        with_periods.traded_value
        / nullif(cast(with_periods.volume_shares as double), 0) as vwap_price,
        looking_back.ma_15m,
        looking_back.ma_1h,
        with_periods.ma_5_periods,
        with_periods.ma_15_periods,
        with_periods.ma_30_periods,
        looking_back.rv_15m,
        looking_back.rv_1h,
        cast(with_periods.n_obs as double)
        / cast({{ dbt.datediff(
            'with_periods.window_start_at',
            'with_periods.window_end_at',
            'minute',
        ) }} as double) as coverage,
        with_periods.volume_shares,
        with_periods.n_trades,
        with_periods.n_obs,
        looking_back.n_obs_15m,
        looking_back.n_obs_1h,
        with_periods.load_batch_id,
        with_periods.first_minute + with_periods.n_minutes
        > with_periods.end_minute as is_cut_by_close,
        with_periods.are_all_final
        and coalesce(
            with_periods.settled_until_at >= with_periods.window_end_at, false
        ) as is_final,
        with_periods.simulated,
        with_periods.session_date,
        with_periods.window_start_at,
        with_periods.window_end_at,
        with_periods.as_of
    from with_periods
    inner join looking_back
        on
            with_periods.instrument_id = looking_back.instrument_id
            and with_periods.window_size = looking_back.window_size
            and with_periods.window_start_at = looking_back.window_start_at
)

select * from windows
