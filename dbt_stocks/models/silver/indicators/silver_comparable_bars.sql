{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key=['instrument_id', 'session_date'],
        on_schema_change='fail',
    )
}}

with

bars as (select * from {{ ref('silver_daily_bars') }}),

splits as (select * from {{ ref('silver_splits') }}),

{% if is_incremental() %}
known as (select * from {{ this }}),
{% else %}
known as (
    select
        *,
        cast(null as bigint) as bar_number
    from bars
    where false
),
{% endif %}

news as (
    select
        instrument_id,
        session_date
    from bars
    where batch_id >= {{ window_start_batch() }}
    union all
    select
        instrument_id,
        ex_date as session_date
    from splits
    where batch_id >= {{ window_start_batch() }}
),

changed as (
    select
        instrument_id,
        min(session_date) as first_session_date
    from news
    group by instrument_id
),

-- What is carried never falls from one bar to the next: the highest before the first change is
-- that of the last bar before it. Real and simulated bars are two series.
carried as (
    select
        known.instrument_id,
        known.simulated,
        max(known.bar_number) as bar_number,
        min(case when known.is_final then 1 else 0 end) as final_flag,
        max(known.session_date) as session_date,
        max(known.as_of) as as_of
    from known
    inner join changed on known.instrument_id = changed.instrument_id
    where known.session_date < changed.first_session_date
    group by known.instrument_id, known.simulated
),

-- Batches are the instrument's: a bar that passes from one kind to the other changes both.
carried_batches as (
    select
        known.instrument_id,
        max(known.batch_id) as batch_id
    from known
    inner join changed on known.instrument_id = changed.instrument_id
    where known.session_date < changed.first_session_date
    group by known.instrument_id
),

-- A split of simulated data counts for simulated bars alone.
split_periods as (
    select
        instrument_id,
        -- Twelve decimals: the product of two ratios, without the noise of the logarithms.
        round(exp(sum(ln(cast(split_ratio as double))) over (
            partition by instrument_id order by ex_date
        )), 12) as ratio_of_all,
        round(exp(sum(
            case when simulated then 0 else ln(cast(split_ratio as double)) end
        ) over (
            partition by instrument_id order by ex_date
        )), 12) as ratio_of_real,
        ex_date as valid_from,
        lead(ex_date, 1, cast('9999-12-31' as date)) over (
            partition by instrument_id order by ex_date
        ) as valid_to,
        max(batch_id) over (
            partition by instrument_id order by ex_date
        ) as batch_id
    from splits
),

with_splits as (
    select
        bars.*,
        coalesce(
            case
                when bars.simulated then split_periods.ratio_of_all
                else split_periods.ratio_of_real
            end,
            1
        ) as split_ratio_total,
        coalesce(carried.bar_number, 0) as bars_before,
        least(
            case when bars.is_final then 1 else 0 end,
            coalesce(carried.final_flag, 1)
        ) as final_flag,
        greatest(bars.as_of, coalesce(carried.as_of, bars.as_of)) as known_at,
        greatest(
            bars.batch_id,
            coalesce(split_periods.batch_id, 0),
            coalesce(carried_batches.batch_id, 0)
        ) as known_batch_id
    from bars
    inner join changed on bars.instrument_id = changed.instrument_id
    left join carried
        on
            bars.instrument_id = carried.instrument_id
            and bars.simulated = carried.simulated
    left join carried_batches
        on bars.instrument_id = carried_batches.instrument_id
    left join split_periods
        on
            bars.instrument_id = split_periods.instrument_id
            and bars.session_date >= split_periods.valid_from
            and bars.session_date < split_periods.valid_to
    where carried.session_date is null or bars.session_date > carried.session_date
),

comparable as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        open_price,
        high_price,
        low_price,
        close_price,
        volume_shares,
        split_ratio_total,
        bars_before + row_number() over (
            partition by instrument_id, simulated order by session_date
        ) as bar_number,
        session_number,
        min(final_flag) over (
            partition by instrument_id, simulated order by session_date
        ) = 1 as is_final,
        simulated,
        session_date,
        max(known_at) over (
            partition by instrument_id, simulated order by session_date
        ) as as_of,
        max(known_batch_id) over (
            partition by instrument_id order by session_date
        ) as batch_id
    from with_splits
)

select * from comparable
