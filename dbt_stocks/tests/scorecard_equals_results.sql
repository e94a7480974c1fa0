-- What the scorecard says of a run is what its tests have said.
with

scorecard as (select * from {{ ref('gold_dq_scorecard') }}),

results as (select * from {{ ref('bronze_test_results') }}),

shown as (
    select
        run_id,
        sum(checked) as checked,
        sum(failed) as failed
    from scorecard
    group by run_id
),

found as (
    select
        run_id,
        count(*) as checked,
        sum(case when status = 'pass' then 0 else 1 end) as failed
    from results
    where status <> 'skipped'
    group by run_id
),

-- A build that failed has written its results after the mart that stands was made.
different as (
    select
        shown.run_id,
        shown.checked,
        found.checked as tests,
        shown.failed,
        found.failed as failures
    from shown
    inner join found on shown.run_id = found.run_id
    where shown.checked <> found.checked or shown.failed <> found.failed
)

select * from different
