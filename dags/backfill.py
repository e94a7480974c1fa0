"""Past sessions again: fetched, computed anew, built and published; started by hand with a range.

What is known already is recognised by its event id and adds nothing, so a range may be filled
again, and as often as one likes.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from orchestration import alerts, context, edges
from orchestration.defaults import (
    AUDIT_UNKNOWN,
    BATCH_DAG,
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
from orchestration.guard import GuardedCommandOperator
from orchestration.operators import CommandOperator
from orchestration.sensors import LandedSensor
from orchestration.summary import SummaryOperator
from orchestration.words import LAKE_JOBS

with DAG(
    "backfill",
    doc_md=__doc__,
    description="A range of past sessions, from provider to gold",
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    dagrun_timeout=timedelta(hours=12),
    deadline=deadline(timedelta(hours=6)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    params=params(has_range=True),
    tags=["tapehouse", "backfill"],
):
    health = CommandOperator(
        task_id="health", command=["infra.local", "status", *SERVICES], transient_codes=[1]
    )
    fetch = CommandOperator(
        task_id="fetch",
        command=context.fetch,
        pool=PROVIDER,
        execution_timeout=timedelta(hours=6),
    )
    consume = LandedSensor(task_id="consume", outlets=[BRONZE_READY])
    process = CommandOperator(
        task_id="process",
        command=["spark_jobs", "compact"],
        pool=SPARK,
        edges=edges.computed("compact"),
    )
    recompute = CommandOperator(
        task_id="recompute",
        command=context.recompute,
        pool=SPARK,
        edges=edges.computed(*LAKE_JOBS[1:]),
        execution_timeout=timedelta(hours=2),
    )
    check_lake = CommandOperator(
        task_id="check_lake",
        command=context.check_lake,
        transient_codes=[AUDIT_UNKNOWN],
    )
    load = GuardedCommandOperator(
        task_id="load",
        command=["ingestion", "load"],
        unless_running=[BATCH_DAG],
        otherwise="wait",
        pool=WRITER,
        edges=edges.loaded,
    )
    build = GuardedCommandOperator(
        task_id="build",
        command=["dbt_stocks", "build"],
        unless_running=[BATCH_DAG],
        otherwise="wait",
        pool=WRITER,
        edges=edges.built,
        outlets=[GOLD_PUBLISHED],
        on_success_callback=alerts.warned,
        execution_timeout=timedelta(hours=2),
    )
    reconcile = GuardedCommandOperator(
        task_id="reconcile",
        command=context.reconcile,
        unless_running=[BATCH_DAG],
        otherwise="wait",
        transient_codes=[AUDIT_UNKNOWN],
        pool=WRITER,
    )
    summary = SummaryOperator(
        task_id="summary",
        reports={
            **{name: name for name in ("fetch", "consume", "process", "load", "reconcile")},
            "publish": "build",
        },
        pool=WRITER,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    health >> fetch >> consume >> process >> recompute >> check_lake >> load
    load >> build >> reconcile >> summary
    [reconcile, summary] >> complete
