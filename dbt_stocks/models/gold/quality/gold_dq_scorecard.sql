with

results as (select * from {{ ref('bronze_test_results') }}),

-- A test that was skipped, since something before it failed, has checked nothing.
per_dimension as (
    select
        run_id,
        model_name,
        dimension,
        count(*) as checked,
        sum(case when status = 'pass' then 0 else 1 end) as failed,
        sum(case when status = 'warn' then 1 else 0 end) as warned,
        sum(coalesce(failing_rows, 0)) as failing_rows,
        max(as_of) as as_of,
        max(loaded_at) as tested_at
    from results
    where status <> 'skipped'
    group by run_id, model_name, dimension
),

scored as (
    select
        *,
        cast(checked - failed as double) / checked as score
    from per_dimension
),

with_trend as (
    select
        *,
        lag(score) over (
            partition by model_name, dimension
            order by tested_at, run_id
        ) as previous_score
    from scored
),

scorecard as (
    select
        run_id,
        model_name,
        dimension,
        'dbt' as source,
        {{ build_id() }} as build_id,
        checked,
        cast(failed as bigint) as failed,
        cast(warned as bigint) as warned,
        cast(failing_rows as bigint) as failing_rows,
        score,
        previous_score,
        true as is_final,
        false as simulated,
        tested_at,
        as_of
    from with_trend
)

select * from scorecard
