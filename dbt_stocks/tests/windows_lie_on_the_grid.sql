-- Candles and windows begin on the grid of their session, are as long as their name says unless the
-- close cuts them, and know nothing from after a forming end.
with

candles as (select * from {{ ref('gold_candlestick') }}),

windows as (select * from {{ ref('gold_intraday_window_metrics') }}),

sessions as (select * from {{ ref('sessions') }}),

lengths as (
    {%- for name, width in candle_minutes().items() if name != '1d' %}
    select
        '{{ name }}' as size_name,
        {{ width }} as n_minutes
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

sized as (
    select
        instrument_id,
        candle_interval as size_name,
        false as is_window,
        bar_start_at as start_at,
        bar_end_at as end_at,
        session_date,
        cast(null as boolean) as is_cut_by_close
    from candles
    where candle_interval not in ('1d', '1w')
    union all
    select
        instrument_id,
        window_size as size_name,
        true as is_window,
        window_start_at as start_at,
        window_end_at as end_at,
        session_date,
        is_cut_by_close
    from windows
),

measured as (
    select
        sized.*,
        lengths.n_minutes,
        sessions.open_at,
        sessions.close_at,
        {{ dbt.datediff('sessions.open_at', 'sized.start_at', 'minute') }}
            as first_minute,
        {{ dbt.datediff('sized.start_at', 'sized.end_at', 'minute') }}
            as length_minutes
    from sized
    inner join lengths on sized.size_name = lengths.size_name
    left join sessions on sized.session_date = sessions.session_date
),

off_the_grid as (
    select *
    from measured
    where
        open_at is null
        or start_at < open_at
        or end_at > close_at
        or mod(first_minute, n_minutes) <> 0
        or length_minutes > n_minutes
        or (length_minutes < n_minutes and end_at <> close_at)
        or (is_window and is_cut_by_close <> (length_minutes < n_minutes))
)

select * from off_the_grid
