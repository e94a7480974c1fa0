{#- Where the gate writes what the tests found; made before every run, so that dbt by hand finds it. -#}
{% macro create_test_results() -%}
    create table if not exists ops.test_results (
        build_id varchar,
        test_name varchar,
        model_name varchar,
        dimension varchar,
        severity varchar,
        status varchar,
        failing_rows bigint,
        as_of timestamp,
        loaded_at timestamp
    )
{%- endmacro %}
