{% macro quote_rules() %}
    {{- return([
        ['conflict', 'the same data under the same event_id'],
        ['format', 'a quote.v1 envelope with text fields and UTC times, its data as the source writes them'],
        ['not_finite', 'finite numbers within decimal(18,6)'],
        ['zero_quote', 'a price and a time > 0 (an unknown symbol is answered with zeros)'],
        ['unknown_symbol', 'a symbol that was listed on that day'],
        ['other_symbol', 'the symbol of the message in its data'],
        ['currency', 'the currency that the instrument trades in'],
        [
            'implausible_time',
            'event_time equal to that of the data, not after fetched_at, nor that after landing',
        ],
        ['stale', 'a quote of the session that was under way, or had ended, when fetched'],
        ['price_range', 'low <= last <= high and low <= open <= high, all positive'],
        ['change', 'a change equal to the price less the previous close'],
        ['jump', 'a price within ' ~ var('quote_jump_ratio') ~ ' times the previous close'],
    ]) -}}
{% endmacro %}

{% macro bar_rules() %}
    {{- return([
        ['incomplete', 'open, high, low, close and volume'],
        ['not_positive', 'prices above zero'],
        ['price_order', 'low <= open, close <= high'],
        ['negative_volume', 'volume >= 0'],
        ['unknown_interval', 'an interval that a source has: 1m, 2m, 5m, 15m, 30m, 1h or 1d'],
        ['adjustment', 'prices as traded, or adjusted for splits alone'],
        ['no_session', 'a session of the exchange, and a start within it'],
        ['unknown_instrument', 'a symbol that was listed on that day'],
        ['currency', 'the currency that the instrument trades in'],
        ['implausible_time', 'as_of after the session opened, fetched_at not after landing'],
    ]) -}}
{% endmacro %}

{% macro corporate_action_rules() %}
    {{- return([
        ['incomplete', 'a ratio for a split, an amount for a dividend'],
        ['not_positive', 'a ratio above zero, an amount not below it'],
        ['no_session', 'an ex-date that is a session of the exchange'],
        ['unknown_instrument', 'a symbol that was listed on that day'],
        ['currency', 'the currency that the instrument trades in'],
    ]) -}}
{% endmacro %}

{% macro lake_metric_rules() %}
    {{- return([
        ['no_session', 'a date that is a session of the exchange'],
        ['unknown_symbol', 'a symbol that was listed on that day'],
    ]) -}}
{% endmacro %}
