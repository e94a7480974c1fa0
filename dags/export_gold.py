"""Published gold as Parquet files, whenever there is a new build: for whoever reads no DuckDB.

It hangs on the asset `gold_published`, as whatever else follows gold may: a dashboard's cache, a
copy for a BI tool. Builds that come while it runs are exported once, the newest of them.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from orchestration import alerts
from orchestration.defaults import DEFAULT_ARGS, GOLD_PUBLISHED, START, deadline
from orchestration.operators import CommandOperator

with DAG(
    "export_gold",
    doc_md=__doc__,
    description="Every published build as Parquet files",
    schedule=[GOLD_PUBLISHED],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    deadline=deadline(timedelta(minutes=15)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "consumer"],
):
    export = CommandOperator(task_id="export", command=["dbt_stocks", "export"])
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    export >> complete
