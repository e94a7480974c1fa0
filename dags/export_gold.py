"""Published gold, whenever there is a new build, for whoever reads no DuckDB.

`export` writes it as Parquet files; `serve` copies it to the PostgreSQL that `SERVING_POSTGRES_URL`
names, and is skipped where none is named; `summary` what they did. The DAG hangs on the asset
`gold_published`, as whatever else follows gold may, such as a dashboard's cache. Builds that come
while it runs are brought there once, the newest of them.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from orchestration import alerts
from orchestration.defaults import (
    DEFAULT_ARGS,
    GOLD_PUBLISHED,
    RUN_TYPES,
    START,
    WRITER,
    deadline,
)
from orchestration.operators import CommandOperator
from orchestration.serve import ServeOperator
from orchestration.summary import SummaryOperator

with DAG(
    "export_gold",
    doc_md=__doc__,
    description="Every published build as Parquet files and in PostgreSQL",
    schedule=[GOLD_PUBLISHED],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    # Its page may wait for whoever has the warehouse, at the longest for a build of `backfill`:
    # nothing else is published meanwhile.
    dagrun_timeout=timedelta(hours=3),
    deadline=deadline(timedelta(hours=1)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "consumer"],
):
    export = CommandOperator(task_id="export", command=["dbt_stocks", "export"])
    serve = ServeOperator(task_id="serve", command=["dbt_stocks", "publish", "--to", "postgres"])
    summary = SummaryOperator(
        task_id="summary",
        reports={"export": "export", "serve": "serve"},
        pool=WRITER,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    [export, serve] >> summary
    [export, serve, summary] >> complete
