with

test_results as (select * from {{ source('ops', 'test_results') }}),

renamed as (
    select
        build_id as run_id,
        test_name,
        model_name,
        dimension,
        severity,
        status,
        failing_rows,
        as_of,
        loaded_at
    from test_results
)

select * from renamed
