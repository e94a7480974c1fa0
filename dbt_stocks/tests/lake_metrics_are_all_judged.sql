{{ config(meta={'dimension': 'completeness'}) }}
{%- set of_a_day = {'source': 'source', 'session_date': 'session_date'} -%}
{%- set of_a_bar = dict(
    of_a_day, bar_interval='bar_interval', segment='segment', start_at='start_at'
) -%}
{%- set shown_as = {
    'bronze_trade_bars': ['silver_trade_bars', of_a_bar],
    'bronze_anomalies': ['silver_anomalies', dict(of_a_day, rule='rule', subject='subject')],
    'bronze_realtime_stock_analytics': [
        'realtime_stock_analytics', {'window_end_at': 'window_1h_end'}
    ],
} -%}

-- What the lake has computed of trades is shown or quarantined: nothing goes by an inner join.
with

quarantined as (select * from {{ ref('quarantine_lake_metrics') }}),

{% for relation, (model, keys) in shown_as.items() -%}
{{ relation }}_refused as (
    select distinct
        symbol,
        session_date
    from quarantined
    where relation_name = '{{ relation }}'
),

{{ relation }}_lost as (
    select
        '{{ relation }}' as relation_name,
        given.symbol,
        given.session_date
    from {{ ref(relation) }} as given
    left join {{ ref(model) }} as shown
        on
            given.symbol = shown.symbol
            {%- for key, shown_key in keys.items() %}
            and given.{{ key }} = shown.{{ shown_key }}
            {%- endfor %}
    left join {{ relation }}_refused as refused
        on
            given.symbol = refused.symbol
            and given.session_date = refused.session_date
    where shown.symbol is null and refused.symbol is null
),

{% endfor -%}
lost as (
    {%- for relation in shown_as %}
    select * from {{ relation }}_lost
    {{- ' union all' if not loop.last }}
    {%- endfor %}
)

select * from lost
