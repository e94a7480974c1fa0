"""Daily bars, from the providers to tested gold, after every session of the exchange.

`health` services answer, `fetch` bars of the run's session (or of the sessions and symbols that a
run is started with), `consume` wait until bronze holds all of it, `process` lake and metrics,
`check_lake` nothing is lost on the way there, `load` into the warehouse, `freshness` warn where no
bars came for long, `dbt` one task a model, with its tests, `publish` test the whole project and
show gold, `reconcile` every stage with every other (as far as the lake where the warehouse is
Snowflake), `summary` what it did, `complete` green only if all of it was. Where a model fails,
`restore` puts the candidate back; published gold is never touched before `publish`.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from orchestration import alerts, context, dbt, edges
from orchestration.defaults import (
    AUDIT_UNKNOWN,
    BRONZE_READY,
    DEFAULT_ARGS,
    GOLD_PUBLISHED,
    PROVIDER,
    RUN_TYPES,
    SERVICES,
    SPARK,
    START,
    WRITER,
    deadline,
    params,
)
from orchestration.operators import CommandOperator
from orchestration.restore import RestoreOperator
from orchestration.sensors import LandedSensor
from orchestration.summary import SummaryOperator
from orchestration.words import LAKE_JOBS

with DAG(
    "stock_market_batch_pipeline",
    doc_md=__doc__,
    description="Daily bars to tested gold, after every session",
    schedule=context.after_sessions(),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    dagrun_timeout=timedelta(hours=3),
    deadline=deadline(timedelta(hours=1)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "batch"],
) as dag:
    health = CommandOperator(
        task_id="health",
        command=["infra.local", "status", *SERVICES],
        transient_codes=[1],
    )
    fetch = CommandOperator(task_id="fetch", command=context.fetch, pool=PROVIDER)
    consume = LandedSensor(task_id="consume", outlets=[BRONZE_READY])
    process = CommandOperator(
        task_id="process",
        command=["spark_jobs", "run", *LAKE_JOBS],
        pool=SPARK,
        edges=edges.computed(*LAKE_JOBS),
    )
    check_lake = CommandOperator(
        task_id="check_lake",
        command=context.check_lake,
        transient_codes=[AUDIT_UNKNOWN],
    )
    load = CommandOperator(
        task_id="load", command=["ingestion", "load"], pool=WRITER, edges=edges.loaded
    )
    models = dbt.models()
    freshness = dbt.freshness("freshness", beside=models)
    restore = RestoreOperator(task_id="restore", pool=WRITER, trigger_rule=TriggerRule.ALL_DONE)
    publish = CommandOperator(
        task_id="publish",
        command=["dbt_stocks", "publish"],
        pool=WRITER,
        edges=edges.published,
        outlets=[GOLD_PUBLISHED],
        on_success_callback=alerts.warned,
    )
    reconcile = CommandOperator(
        task_id="reconcile",
        command=context.reconcile,
        transient_codes=[AUDIT_UNKNOWN],
        pool=WRITER,
    )
    summary = SummaryOperator(
        task_id="summary",
        reports={
            name: name for name in ("fetch", "consume", "process", "load", "publish", "reconcile")
        },
        pool=WRITER,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    health >> fetch >> consume >> process >> check_lake >> load >> models >> publish >> reconcile
    load >> freshness
    # Not after the last ones alone: one fails early while others still write.
    [*models.iter_tasks()] >> restore
    [freshness, restore, reconcile] >> summary
    [freshness, restore, reconcile, summary] >> complete
    # After the tasks: each would keep a copy, which takes longer to check than all else to parse.
    dag.params.update(params())
