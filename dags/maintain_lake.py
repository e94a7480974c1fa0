"""Every night: small files merged, old snapshots and runs gone, the store probed, all judged.

Each step may be run again at any time: what is merged is not merged again.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule

from orchestration import alerts
from orchestration.defaults import (
    AUDIT_UNKNOWN,
    BATCH_DAG,
    DEFAULT_ARGS,
    RUN_TYPES,
    SPARK,
    START,
    WRITER,
    deadline,
)
from orchestration.guard import GuardedCommandOperator
from orchestration.operators import CommandOperator
from orchestration.summary import SummaryOperator

with DAG(
    "maintain_lake",
    doc_md=__doc__,
    description="Merge, expire, probe and audit, every night",
    # No session of New York or London is open then, in summer or winter.
    schedule=CronTriggerTimetable("0 6 * * *", timezone="UTC"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    dagrun_timeout=timedelta(hours=4),
    deadline=deadline(timedelta(hours=2)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "maintenance"],
):
    doctor = CommandOperator(
        task_id="doctor",
        command=["ingestion", "doctor"],
    )
    maintain = CommandOperator(
        task_id="maintain",
        command=["spark_jobs", "maintain", "--apply"],
        pool=SPARK,
        execution_timeout=timedelta(hours=2),
    )
    audit = GuardedCommandOperator(
        task_id="audit",
        command=["audit", "--full", "--allow-behind"],
        unless_running=[BATCH_DAG],
        otherwise="wait",
        transient_codes=[AUDIT_UNKNOWN],
        pool=WRITER,
        execution_timeout=timedelta(hours=1),
    )
    prune = CommandOperator(task_id="prune", command=["orchestration.prune"])
    summary = SummaryOperator(
        task_id="summary",
        reports={"reconcile": "audit"},
        pool=WRITER,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    doctor >> maintain >> audit
    [prune, audit] >> summary
    [prune, audit, summary] >> complete
