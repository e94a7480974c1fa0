{%- set subjects = {
    'bronze_trade_bars': ['bar_interval', 'segment', 'start_at'],
    'bronze_anomalies': ['rule', 'subject'],
    'bronze_realtime_stock_analytics': ['window_end_at'],
} -%}
with

instruments as (select * from {{ ref('instruments') }}),

sessions as (select * from {{ ref('sessions') }}),

computed as (
    {%- for relation, columns in subjects.items() %}
    select
        '{{ relation }}' as relation_name,
        symbol,
        source,
        concat(
            {%- for column in columns %}
            '{{ column }} ', cast({{ column }} as varchar), ' '
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as subject,
        revision,
        simulated,
        session_date,
        as_of,
        file,
        loaded_at,
        batch_id
    from {{ ref(relation) }}
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

judged as (
    select
        computed.*,
        sessions.session_date is null as fails_no_session,
        instruments.instrument_id is null as fails_unknown_symbol
    from computed
    left join sessions on computed.session_date = sessions.session_date
    left join instruments
        on
            computed.symbol = instruments.symbol
            and computed.session_date >= instruments.valid_from
            and computed.session_date
            <= coalesce(instruments.valid_to, cast('9999-12-31' as date))
),

ruled_out as (
    select
        relation_name,
        symbol,
        source,
        rtrim(subject) as subject,
        {{ first_rule(lake_metric_rules()) }} as rule,
        {{ all_rules(lake_metric_rules()) }} as rules,
        revision,
        simulated,
        session_date,
        as_of,
        file,
        loaded_at,
        batch_id
    from judged
    where fails_no_session or fails_unknown_symbol
),

quarantined as (
    select
        *,
        {{ rule_reason(lake_metric_rules()) }} as reason
    from ruled_out
)

select * from quarantined
