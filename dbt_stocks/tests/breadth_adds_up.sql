-- Sectors are parts of all; the line moves by what the session's shares did.
with

breadth as (select * from {{ ref('gold_market_breadth') }}),

with_previous as (
    select
        *,
        lag(ad_line, 1, 0) over (
            partition by universe, simulated order by session_date
        ) as previous_line
    from breadth
),

per_session as (
    select
        session_date,
        simulated,
        sum(abs(ad_line - previous_line - (advancers - decliners)))
            as line_differs,
        {%- for column in [
            'n_instruments', 'advancers', 'decliners', 'n_sma_50', 'n_sma_200', 'n_52w',
            'new_highs', 'new_lows', 'up_volume_shares', 'down_volume_shares',
        ] %}
        {{ '+ ' if not loop.first }}abs(
            sum(case when universe = 'all' then -{{ column }} else {{ column }} end)
        )
        {%- endfor %} as sectors_differ
    from with_previous
    group by session_date, simulated
),

different as (
    select * from per_session
    where line_differs <> 0 or sectors_differ <> 0
)

select * from different
