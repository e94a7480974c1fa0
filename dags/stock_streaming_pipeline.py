"""Trades and quotes of an open session, every 15 minutes: arrived, analysed, checked, shown.

`arrived` waits for trades in the object store that the lake has not, and skips the run where none
come; `analytics` brings trades, bars, windows and anomalies up to them; `validate` nothing of what
had arrived is lost; `load`; `build` the intraday marts and what depends on them, published when all
tests passed.
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
    RUN_TYPES,
    SPARK,
    START,
    TRADES,
    WRITER,
    deadline,
)
from orchestration.guard import GuardedCommandOperator
from orchestration.operators import CommandOperator
from orchestration.sensors import ArrivalSensor
from orchestration.summary import SummaryOperator
from orchestration.words import INTRADAY_JOBS

with DAG(
    "stock_streaming_pipeline",
    doc_md=__doc__,
    description="Windows and bars of trades, every 15 minutes of a session",
    schedule=context.in_sessions(every=timedelta(minutes=15)),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    dagrun_timeout=timedelta(minutes=45),
    deadline=deadline(timedelta(minutes=15)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "streaming"],
):
    arrived = ArrivalSensor(
        task_id="arrived",
        topic=TRADES[0],
        table=TRADES[1],
        patience=timedelta(minutes=10),
        outlets=[BRONZE_READY],
    )
    analytics = CommandOperator(
        task_id="analytics",
        command=["spark_jobs", "run", *INTRADAY_JOBS],
        pool=SPARK,
        edges=edges.computed(*INTRADAY_JOBS),
    )
    validate = CommandOperator(
        task_id="validate",
        command=context.check_arrived,
        transient_codes=[AUDIT_UNKNOWN],
    )
    load = GuardedCommandOperator(
        task_id="load",
        command=["ingestion", "load"],
        unless_running=[BATCH_DAG],
        pool=WRITER,
        edges=edges.loaded,
    )
    build = GuardedCommandOperator(
        task_id="build",
        command=["dbt_stocks", "build", "--only-new"],
        unless_running=[BATCH_DAG],
        pool=WRITER,
        edges=edges.built,
        outlets=[GOLD_PUBLISHED],
        on_success_callback=alerts.warned,
    )
    summary = SummaryOperator(
        task_id="summary",
        reports={"consume": "arrived", "process": "analytics", "load": "load", "publish": "build"},
        pool=WRITER,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    arrived >> analytics >> validate >> load >> build >> summary
    [build, summary] >> complete
