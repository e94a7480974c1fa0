{%- set rules_of = {
    'quarantine_bars': bar_rules(),
    'quarantine_corporate_actions': corporate_action_rules(),
    'quarantine_lake_metrics': lake_metric_rules(),
    'quarantine_quotes': quote_rules(),
} -%}
with

bars as (select * from {{ ref('quarantine_bars') }}),

actions as (select * from {{ ref('quarantine_corporate_actions') }}),

lake_metrics as (select * from {{ ref('quarantine_lake_metrics') }}),

quotes as (select * from {{ ref('quarantine_quotes') }}),

rejects as (select * from {{ ref('quarantine_rejects') }}),

clock as (select * from {{ ref('silver_build_clock') }}),

refused as (
    {%- for cte, relation in [
        ('bars', 'quarantine_bars'),
        ('actions', 'quarantine_corporate_actions'),
        ('lake_metrics', 'quarantine_lake_metrics'),
        ('quotes', 'quarantine_quotes'),
        ('rejects', 'quarantine_rejects'),
    ] %}
    select
        '{{ relation }}' as relation_name,
        rule,
        reason,
        loaded_at
    from {{ cte }}
    {{- ' union all' if not loop.last }}
    {%- endfor %}
),

-- The lake's reasons tell what was found in each record: the newest one stands for all.
ranked as (
    select
        *,
        row_number() over (
            partition by relation_name, rule
            order by loaded_at desc, reason asc
        ) as recency
    from refused
),

counted as (
    select
        relation_name,
        rule,
        max(case when recency = 1 then reason end) as reason,
        count(*) as n_records,
        max(loaded_at) as last_loaded_at
    from ranked
    group by relation_name, rule
),

-- A rule that has refused nothing is shown, too: it is known to have been asked.
declared as (
    {%- for relation, rules in rules_of.items() %}
    {%- set last_relation = loop.last %}
    {%- for rule, expected in rules %}
    select
        '{{ relation }}' as relation_name,
        '{{ rule }}' as rule,
        'expected {{ expected }}' as reason
    {{- ' union all' if not (loop.last and last_relation) }}
    {%- endfor %}
    {%- endfor %}
),

every_rule as (
    select
        relation_name,
        rule
    from counted
    union
    select
        relation_name,
        rule
    from declared
),

quarantine as (
    select
        every_rule.relation_name,
        every_rule.rule,
        'dbt' as source,
        coalesce(counted.reason, declared.reason) as reason,
        {{ build_id() }} as build_id,
        cast(coalesce(counted.n_records, 0) as bigint) as n_records,
        false as is_final,
        false as simulated,
        counted.last_loaded_at,
        clock.now_at as as_of
    from every_rule
    left join counted
        on
            every_rule.relation_name = counted.relation_name
            and every_rule.rule = counted.rule
    left join declared
        on
            every_rule.relation_name = declared.relation_name
            and every_rule.rule = declared.rule
    cross join clock
)

select * from quarantine
