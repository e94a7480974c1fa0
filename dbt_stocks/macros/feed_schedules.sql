{#-
    How late a feed may be: [minutes after a session's close until it has brought that session, trading
    seconds without an event while the market is open]. Null: it comes when something happens. Time
    in which the exchange is closed counts for neither.
    daily_bars: providers finish them within hours of the close, and the evening's run fetches them.
    intraday_bars: known by their start, and one may be an hour long. quotes: polled every minute; a
    provider may need 15 minutes after the open. windows: every five minutes, once the stream's
    watermark and a batch have passed. Set 2026-11-26.
-#}
{% macro feed_schedules() %}
    {{- return({
        'daily_bars': [360, 'null'],
        'intraday_bars': [60, 7200],
        'quotes': [60, 900],
        'windows': [60, 1800],
        'corporate_actions': ['null', 'null'],
    }) -}}
{% endmacro %}
