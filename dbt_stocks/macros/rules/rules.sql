{#-
    A list of rules is a list of [name, what was expected], in the order of judgement. A model gives
    one boolean column `fails_<name>` per rule; these macros turn the columns into what quarantine
    shows. A NULL counts as a failure nowhere: every rule says itself what NULL means.
-#}
{% macro first_rule(rules) -%}
    case
        {%- for name, _ in rules %}
        when fails_{{ name }} then '{{ name }}'
        {%- endfor %}
    end
{%- endmacro %}

{% macro all_rules(rules) -%}
    nullif(
        rtrim(
            concat(
                {%- for name, _ in rules %}
                case when fails_{{ name }} then '{{ name }},' else '' end
                {{- ',' if not loop.last }}
                {%- endfor %}
            ),
            ','
        ),
        ''
    )
{%- endmacro %}

{% macro rule_reason(rules, rule='rule') -%}
    case {{ rule }}
        {%- for name, expected in rules %}
        when '{{ name }}' then 'expected {{ expected }}'
        {%- endfor %}
    end
{%- endmacro %}
