{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['session_date', 'simulated'],
        on_schema_change='fail',
        pre_hook='{{ forget_old_correlations() }}',
    )
}}

{%- set windows = var('correlation_windows') %}

with

metrics as (select * from {{ ref('gold_daily_metrics') }}),

month_ends as (select * from {{ ref('silver_month_ends') }}),

sessions as (select * from {{ ref('sessions') }}),

{% if is_incremental() %}
done as (
    select
        simulated,
        session_date
    from {{ this }}
    group by simulated, session_date
),
{% else %}
done as (
    select
        simulated,
        session_date
    from month_ends
    where false
),
{% endif %}

-- The pre-hook has taken out what a change has made void: what is there stands. Real and made-up
-- shares have matrices of their own.
missing_sessions as (
    select
        month_ends.simulated,
        month_ends.session_date,
        sessions.session_number
    from month_ends
    inner join sessions on month_ends.session_date = sessions.session_date
    left join done
        on
            month_ends.simulated = done.simulated
            and month_ends.session_date = done.session_date
    where done.session_date is null
),

batches as (
    select
        missing_sessions.session_date,
        max(metrics.load_batch_id) as load_batch_id
    from missing_sessions
    inner join metrics
        on missing_sessions.session_date >= metrics.session_date
    group by missing_sessions.session_date
),

-- The most liquid instruments of that session, so that the pairs do not grow with the square of
-- what is listed, and none is there because it is large today.
by_liquidity as (
    select
        metrics.instrument_id,
        missing_sessions.simulated,
        missing_sessions.session_date as matrix_date,
        missing_sessions.session_number as last_number,
        row_number() over (
            partition by
                missing_sessions.session_date, missing_sessions.simulated
            order by metrics.dollar_volume_avg_20d desc, metrics.instrument_id asc
        ) as liquidity_rank
    from missing_sessions
    inner join metrics
        on
            missing_sessions.session_date = metrics.session_date
            and missing_sessions.simulated = metrics.simulated
    where metrics.dollar_volume_avg_20d is not null
),

-- Numbers in the order of the ids, since they are compared a hundred times as often.
members as (
    select
        instrument_id,
        simulated,
        matrix_date,
        last_number,
        row_number() over (
            partition by matrix_date order by instrument_id
        ) as member_number
    from by_liquidity
    where liquidity_rank <= {{ var('correlation_instruments') }}
),

returns as (
    select
        members.matrix_date,
        members.member_number,
        members.last_number - sessions.session_number as n_sessions_back,
        metrics.return_1d_log,
        metrics.source,
        -- A return is of two bars.
        metrics.n_final_bars >= 2 as is_final,
        members.simulated,
        metrics.as_of
    from members
    inner join sessions
        on
            members.last_number >= sessions.session_number
            and members.last_number
            < sessions.session_number + {{ windows | max }}
    inner join metrics
        on
            members.instrument_id = metrics.instrument_id
            and members.simulated = metrics.simulated
            and sessions.session_date = metrics.session_date
    where metrics.return_1d_log is not null
),

paired as (
    select
        a.matrix_date,
        a.member_number as number_a,
        b.member_number as number_b,
        {%- for window in windows %}
        {%- set in_window = 'a.n_sessions_back < ' ~ window %}
        count(case when {{ in_window }} then 1 end) as n_obs_{{ window }},
        covar_pop(
            case when {{ in_window }} then a.return_1d_log end,
            case when {{ in_window }} then b.return_1d_log end
        ) as covariance_{{ window }},
        stddev_pop(case when {{ in_window }} then a.return_1d_log end)
            as deviation_a_{{ window }},
        stddev_pop(case when {{ in_window }} then b.return_1d_log end)
            as deviation_b_{{ window }},
        {%- endfor %}
        min(case when a.is_final and b.is_final then 1 else 0 end) = 1
            as is_final,
        a.simulated,
        least(min(a.source), min(b.source)) as first_source,
        greatest(max(a.source), max(b.source)) as last_source,
        greatest(max(a.as_of), max(b.as_of)) as as_of
    from returns as a
    inner join returns as b
        on
            a.matrix_date = b.matrix_date
            and a.simulated = b.simulated
            and a.n_sessions_back = b.n_sessions_back
            and a.member_number < b.member_number
    group by a.matrix_date, a.simulated, a.member_number, b.member_number
),

-- Engines' own corr() disagree on a share that never moves: NaN or NULL. It is NULL here.
by_window as (
    {%- for window in windows %}
    select
        matrix_date,
        number_a,
        number_b,
        {{ window }} as window_sessions,
        n_obs_{{ window }} as n_obs,
        covariance_{{ window }}
        / nullif(deviation_a_{{ window }} * deviation_b_{{ window }}, 0) as corr,
        first_source,
        last_source,
        is_final,
        simulated,
        as_of
    from paired
    where n_obs_{{ window }} >= {{ var('correlation_min_share') }} * {{ window }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

correlations as (
    select
        a.instrument_id as instrument_id_a,
        b.instrument_id as instrument_id_b,
        case
            when by_window.first_source = by_window.last_source
                then by_window.first_source
            else 'several'
        end as source,
        {{ build_id() }} as build_id,
        cast(by_window.window_sessions as integer) as window_sessions,
        case
            when abs(by_window.corr) > 1 then sign(by_window.corr)
            else by_window.corr
        end as corr,
        cast(by_window.n_obs as integer) as n_obs,
        batches.load_batch_id,
        by_window.is_final,
        by_window.simulated,
        by_window.matrix_date as session_date,
        by_window.as_of
    from by_window
    inner join members as a
        on
            by_window.matrix_date = a.matrix_date
            and by_window.number_a = a.member_number
    inner join members as b
        on
            by_window.matrix_date = b.matrix_date
            and by_window.number_b = b.member_number
    inner join batches on by_window.matrix_date = batches.session_date
)

select * from correlations
