"""New quotes from bronze to the warehouse and gold, when they land and every minute.

The warehouse is the configured one, whatever the name says. `load` takes what bronze holds beyond
the warehouse's own ledger; `news` skips the rest where a published build has seen it all; `build`
makes the marts of what is new in one task, tests the project and publishes; `summary` what it did,
where there was something to do or something failed. One run at a time, and none while the batch
pipeline builds.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, TriggerRule

from orchestration import alerts, edges
from orchestration.defaults import (
    BATCH_DAG,
    BRONZE_READY,
    DEFAULT_ARGS,
    GOLD_PUBLISHED,
    QUOTES_LANDED,
    RUN_TYPES,
    START,
    WRITER,
    deadline,
)
from orchestration.guard import GuardedCommandOperator
from orchestration.news import NewsOperator
from orchestration.summary import SummaryOperator

with DAG(
    "minio_to_snowflake",
    doc_md=__doc__,
    description="New quotes to gold, every minute",
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("* * * * *", timezone="UTC"),
        assets=BRONZE_READY | QUOTES_LANDED,
    ),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    allowed_run_types=RUN_TYPES,
    dagrun_timeout=timedelta(minutes=15),
    deadline=deadline(timedelta(minutes=5)),
    default_args=DEFAULT_ARGS,
    on_failure_callback=alerts.cut_off,
    tags=["tapehouse", "minute"],
):
    load = GuardedCommandOperator(
        task_id="load",
        command=["ingestion", "load"],
        unless_running=[BATCH_DAG],
        pool=WRITER,
        edges=edges.loaded,
    )
    news = NewsOperator(task_id="news", skips="build", pool=WRITER)
    build = GuardedCommandOperator(
        task_id="build",
        command=["dbt_stocks", "build", "--only-new"],
        unless_running=[BATCH_DAG],
        pool=WRITER,
        edges=edges.built,
        outlets=[GOLD_PUBLISHED],
    )
    # Takes no time. Beside it `news` alone decides whether a page is written: mostly it is skipped,
    # and `summary` with it, before it has taken the writer's slot.
    over = EmptyOperator(task_id="over", trigger_rule=TriggerRule.ALL_DONE)
    summary = SummaryOperator(
        task_id="summary",
        reports={"load": "load", "publish": "build"},
        pool=WRITER,
        trigger_rule=TriggerRule.NONE_SKIPPED,
    )
    complete = EmptyOperator(task_id="complete", trigger_rule=TriggerRule.NONE_FAILED)

    load >> news >> build >> over
    [news, over] >> summary
    [build, over, summary] >> complete
