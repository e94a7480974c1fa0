{{
    config(
        materialized='incremental',
        incremental_strategy='merge',
        unique_key=['instrument_id', 'session_date', 'source_a', 'source_b'],
        on_schema_change='fail',
    )
}}

with

bars as (select * from {{ ref('silver_bars') }}),

actions as (select * from {{ ref('silver_corporate_actions') }}),

factors as (select * from {{ ref('silver_split_factors') }}),

new_splits as (
    select instrument_id
    from actions
    where
        action_type = 'split'
        and batch_id >= {{ window_start_batch() }}
    group by instrument_id
),

-- A split touches all days of which a source gives adjusted prices: another telling of it may have
-- held later.
touched_days as (
    select
        instrument_id,
        session_date
    from bars
    where
        bar_interval = '1d'
        and batch_id >= {{ window_start_batch() }}
    union
    select
        bars.instrument_id,
        bars.session_date
    from bars
    inner join new_splits on bars.instrument_id = new_splits.instrument_id
    where bars.bar_interval = '1d' and bars.adjustment = 'split'
),

-- One bar for each source, real before simulated, and only finished ones.
ranked as (
    select
        bars.*,
        row_number() over (
            partition by bars.instrument_id, bars.session_date, bars.source
            order by bars.simulated
        ) as preference
    from bars
    inner join touched_days
        on
            bars.instrument_id = touched_days.instrument_id
            and bars.session_date = touched_days.session_date
    where bars.is_current and bars.is_final and bars.bar_interval = '1d'
),

-- Only what several sources tell of can be compared.
counted as (
    select
        *,
        count(*) over (partition by instrument_id, session_date) as n_sources
    from ranked
    where preference = 1
),

placed as (
    select
        counted.*,
        {{ source_rank('counted.source') }} as source_rank,
        coalesce(factors.split_factor, 1) as split_factor
    from counted
    left join factors
        on
            counted.adjustment = 'split'
            and counted.instrument_id = factors.instrument_id
            and counted.source = factors.source
            and counted.simulated = factors.simulated
            and counted.session_date = factors.session_date
            and counted.as_of = factors.as_of
    where counted.n_sources > 1
),

as_traded as (
    select
        instrument_id,
        symbol,
        source,
        currency,
        source_rank,
        {{ as_traded('close_price') }} as close_price,
        {{ volume_as_traded('volume_shares') }} as volume_shares,
        batch_id,
        simulated,
        session_date,
        as_of
    from placed
),

-- The preferred source stands first.
pairs as (
    select
        one.instrument_id,
        one.symbol,
        one.source as source_a,
        other.source as source_b,
        one.currency,
        one.close_price as close_price_a,
        other.close_price as close_price_b,
        one.volume_shares as volume_shares_a,
        other.volume_shares as volume_shares_b,
        one.simulated or other.simulated as simulated,
        one.simulated = other.simulated as is_comparable,
        one.session_date,
        greatest(one.batch_id, other.batch_id) as load_batch_id,
        greatest(one.as_of, other.as_of) as as_of
    from as_traded as one
    inner join as_traded as other
        on
            one.instrument_id = other.instrument_id
            and one.session_date = other.session_date
            and (
                one.source_rank < other.source_rank
                or (
                    one.source_rank = other.source_rank
                    and one.source < other.source
                )
            )
),

compared as (
    select
        *,
        (
            cast(close_price_a as double)
            / nullif(cast(close_price_b as double), 0)
            - 1
        ) * 10000 as close_diff_bp,
        cast(volume_shares_a as double) / nullif(volume_shares_b, 0)
            as volume_ratio
    from pairs
),

-- One vendor's volume is that of some venues: either one may be the smaller.
judged as (
    select
        *,
        abs(close_diff_bp) <= {{ var('reconciled_close_bp') }} as is_close_equal,
        volume_shares_a = volume_shares_b
        or coalesce(
            least(volume_ratio, 1 / nullif(volume_ratio, 0))
            >= {{ var('reconciled_volume_ratio') }},
            false
        ) as is_volume_equal
    from compared
),

reconciliation as (
    select
        instrument_id,
        symbol,
        source_a,
        source_b,
        concat(source_a, '/', source_b) as source,
        currency,
        case
            when not is_comparable then 'not_comparable'
            when is_close_equal and is_volume_equal then 'agree'
            when is_close_equal then 'volume_differs'
            when is_volume_equal then 'close_differs'
            else 'both_differ'
        end as status,
        {{ build_id() }} as build_id,
        close_price_a,
        close_price_b,
        volume_shares_a,
        volume_shares_b,
        close_diff_bp,
        volume_ratio,
        load_batch_id,
        true as is_final,
        simulated,
        session_date,
        as_of
    from judged
)

select * from reconciliation
