{#-
    Whose quotes have which fields: a column of ours to [the source's field, its JSON form, what its
    absence means (NULL unless said)]. A source that is not named here has Finnhub's layout. Forms:
    number, decimal_text, percent_text, date_text, text. A layout's `required` fields make a quote.
-#}
{% macro quote_layouts() %}
    {{- return({
        'finnhub': {
            'required': ['last_price', 'epoch_s'],
            'last_price': ['c', 'number'],
            'open_price': ['o', 'number'],
            'high_price': ['h', 'number'],
            'low_price': ['l', 'number'],
            'previous_close_price': ['pc', 'number'],
            'change_price': ['d', 'number'],
            'change_pct': ['dp', 'number'],
            'epoch_s': ['t', 'number'],
        },
        'alphavantage': {
            'required': ['last_price', 'trading_day'],
            'provider_symbol': ['01. symbol', 'text'],
            'last_price': ['05. price', 'decimal_text'],
            'open_price': ['02. open', 'decimal_text'],
            'high_price': ['03. high', 'decimal_text'],
            'low_price': ['04. low', 'decimal_text'],
            'previous_close_price': ['08. previous close', 'decimal_text'],
            'change_price': ['09. change', 'decimal_text'],
            'change_pct': ['10. change percent', 'percent_text'],
            'day_volume_shares': ['06. volume', 'decimal_text'],
            'trading_day': ['07. latest trading day', 'date_text'],
        },
        'yahoo': {
            'required': [],
            'provider_symbol': ['id', 'text'],
            'currency': ['currency', 'text'],
            'last_price': ['price', 'number', '0'],
            'open_price': ['open_price', 'number'],
            'high_price': ['day_high', 'number'],
            'low_price': ['day_low', 'number'],
            'previous_close_price': ['previous_close', 'number'],
            'change_price': ['change', 'number'],
            'change_pct': ['change_percent', 'number'],
            'day_volume_shares': ['day_volume', 'decimal_text'],
            'market_hours': ['market_hours', 'number', '0'],
            'epoch_ms': ['time', 'decimal_text', '0'],
        },
    }) -}}
{% endmacro %}

{#- The source whose layout is everybody's who has none of his own. -#}
{% macro default_quote_layout() -%}
    finnhub
{%- endmacro %}

{#- A column of ours as text, out of `data`, by the layout of the row's source. -#}
{% macro quote_text(column) -%}
    {%- set layouts = quote_layouts() -%}
    case source
        {%- for source, layout in layouts.items() if source != default_quote_layout() %}
        when '{{ source }}' then {{ field_text(layout[column]) }}
        {%- endfor %}
        else {{ field_text(layouts[default_quote_layout()][column]) }}
    end
{%- endmacro %}

{% macro field_text(field) -%}
    {%- if not field -%}
        cast(null as varchar)
    {%- elif field | length > 2 -%}
        coalesce(cast(data['{{ field[0] }}'] as varchar), '{{ field[2] }}')
    {%- else -%}
        cast(data['{{ field[0] }}'] as varchar)
    {%- endif -%}
{%- endmacro %}

{#- Whether what is required is there, and every field that is there has its form. -#}
{% macro has_quote_forms() -%}
    {%- set layouts = quote_layouts() -%}
    case source
        {%- for source, layout in layouts.items() if source != default_quote_layout() %}
        when '{{ source }}'
            then {{ layout_forms(layout) }}
        {%- endfor %}
        else {{ layout_forms(layouts[default_quote_layout()]) }}
    end
{%- endmacro %}

{% macro layout_forms(layout) -%}
    true
    {%- for column, field in layout.items() if column != 'required' %}
        {%- set value = "data['" ~ field[0] ~ "']" %}
            and {% if column in layout['required'] -%}
            {{ has_form(value, field[1]) }}
            {%- else -%}
            (
                cast({{ value }} as varchar) is null
                or {{ has_form(value, field[1]) }}
            )
            {%- endif %}
    {%- endfor %}
{%- endmacro %}

{% macro has_form(value, form) -%}
    {%- if form == 'number' -%}
        {{ is_json_number(value) }}
    {%- elif form == 'decimal_text' -%}
        {{ is_json_text(value, "'-?[0-9]+([.][0-9]+)?'") }}
    {%- elif form == 'percent_text' -%}
        {{ is_json_text(value, "'-?[0-9]+([.][0-9]+)?%'") }}
    {%- elif form == 'date_text' -%}
        {{ is_json_text(value, "'[0-9]{4}-[0-9]{2}-[0-9]{2}'") }}
    {%- else -%}
        {{ is_json_text(value, "'.*'") }}
    {%- endif -%}
{%- endmacro %}
