{#- A price or amount that its source divided by later splits, as it was on its day. -#}
{% macro as_traded(price, factor='split_factor') -%}
    cast(
        case when {{ factor }} = 1 then {{ price }} else {{ price }} * {{ factor }} end
        as decimal(18, 6)
    )
{%- endmacro %}

{% macro volume_as_traded(volume, factor='split_factor') -%}
    case
        when {{ factor }} = 1 then {{ volume }}
        else cast(round({{ volume }} / {{ factor }}, 0) as bigint)
    end
{%- endmacro %}
