{#-
    Pre-hook of gold_correlation_matrix: a changed session voids the matrices from it on; one that is
    no month's last session any more, or of a month that is too old, goes.
-#}
{% macro forget_old_correlations() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where
        session_date >= {{ first_changed_session(ref('gold_daily_metrics')) }}
        or (session_date, simulated) not in (
            select session_date, simulated from {{ ref('silver_month_ends') }}
        )
    {%- endif -%}
{%- endmacro %}
