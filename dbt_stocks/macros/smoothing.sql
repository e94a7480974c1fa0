{#- Spans of the exponential averages that are published, in bars. -#}
{% macro ema_spans() %}
    {{- return([12, 20, 26, 50, 200]) -}}
{% endmacro %}

{#-
    The recursive averages: which value of a bar each is of, the first bar that has one (the mean of
    all values up to there), and the weight of the newest bar. Wilder's 14 changes need 15 bars.
-#}
{% macro smoothed_averages() %}
    {%- set averages = {
        'average_gain_14': {'value': 'gain_value', 'first_bar': 15, 'weight': 1 / 14},
        'average_loss_14': {'value': 'loss_value', 'first_bar': 15, 'weight': 1 / 14},
        'atr_14': {'value': 'range_value', 'first_bar': 15, 'weight': 1 / 14},
    } -%}
    {%- for span in ema_spans() -%}
        {%- do averages.update({
            'ema_' ~ span: {
                'value': 'close_value', 'first_bar': span, 'weight': 2 / (span + 1)
            }
        }) -%}
    {%- endfor -%}
    {{- return(averages) -}}
{% endmacro %}

{#- The mean of the values up to the first bar of a recursive average. -#}
{% macro first_mean(average) -%}
    avg(case when bar_number <= {{ average['first_bar'] }} then {{ average['value'] }} end)
{%- endmacro %}

{#-
    A recursive average, y[t] = x[t] + (1 - weight) * y[t - 1], without recursion: y is the sum of
    (1 - weight)^j * x[t - j] over all bars, and a sum over 4m bars is made of four sums over m bars
    that begin m bars apart. Factors only shrink, so that nothing overflows. A recursive CTE takes a
    step a bar, and Snowflake refuses more than a hundred.
-#}
{% macro fourfold_sum(column, weight, step) -%}
    {%- set same_bars = '(partition by instrument_id, simulated order by bar_number)' -%}
    {{ column }}
    {%- for part in [1, 2, 3] -%}
        {%- set bars = part * 4 ** step -%}
        {%- set factor = (1 - weight) ** bars -%}
        {%- if factor > 0 %} + {{ factor }} * lag({{ column }}, {{ bars }}, 0) over {{ same_bars }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{#- Seven steps reach 16,384 bars: 65 years of sessions. -#}
{% macro smoothing_steps() %}
    {{- return(7) -}}
{% endmacro %}
