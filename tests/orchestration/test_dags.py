"""Every DAG: that it is what operators were told, and that no failure stays in its task."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow import settings
from airflow.models.deadline import Deadline
from airflow.models.pool import Pool
from airflow.models.taskinstance import clear_task_instances
from airflow.sdk import DAG, TriggerRule
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.utils.types import DagRunType
from sqlalchemy import select

from orchestration import context
from orchestration import manifest as manifests
from orchestration.operators import CommandOperator
from tests.orchestration.support import DAGS, advance, bag_of, dag_files, play, queued, stored

NAMES = [path.stem for path in dag_files()]
# A model of each layer, and between them what they are made of.
KEPT = (
    "bronze_bars",
    "silver_bars_judged",
    "quarantine_bars",
    "silver_bars",
    "daily_stock_metrics",
)
BATCH = "stock_market_batch_pipeline"


@pytest.fixture(scope="module")
def small_manifest(manifest: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The real manifest without most of its models: a run of each failure is played below."""
    document = json.loads(manifests.path().read_text())
    nodes = {
        name: node
        for name, node in document["nodes"].items()
        if name.split(".")[0] in ("model", "seed") and node["name"] in KEPT
    }
    assert len(nodes) == len(KEPT)
    path = tmp_path_factory.mktemp("small") / "manifest.json"
    path.write_text(json.dumps({**document, "nodes": nodes}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "path", lambda: path)
        yield


@pytest.fixture(scope="module")
def dags(small_manifest: None) -> dict[str, DAG]:
    found = {}
    for name in NAMES:
        bag = bag_of(name)
        assert not bag.import_errors, bag.import_errors
        assert set(bag.dags) == {name}, "a file has the one DAG of its name"
        found[name] = bag.dags[name]
    return found


@pytest.fixture(scope="module")
def scheduled(dags: dict[str, DAG], airflow_database: None) -> dict[str, SerializedDAG]:
    return {name: stored(name, bag_of(name)) for name in NAMES}


def test_what_dag_files_share_opens_no_client() -> None:
    """Each file is parsed in a process of its own: what is imported there takes its time again."""
    names = "orchestration.defaults, orchestration.sensors, orchestration.operators"
    clients = "'boto3', 'confluent_kafka', 'pyspark', 'snowflake.connector'"
    script = f"import sys, {names}; print([one for one in ({clients}) if one in sys.modules])"

    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert found.stdout.strip().endswith("[]"), found.stdout + found.stderr


def test_the_names_are_those_that_users_know() -> None:
    assert set(NAMES) == {
        *("stock_market_batch_pipeline", "stock_streaming_pipeline", "minio_to_snowflake"),
        *("maintain_lake", "backfill", "export_gold"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_file_wires_and_computes_nothing(name: str) -> None:
    tree = ast.parse((DAGS / f"{name}.py").read_text())
    logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef, ast.If, ast.While)

    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("name", NAMES)
def test_every_dag_says_what_it_does_by_itself(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]

    assert "tapehouse" in dag.tags
    assert dag.doc_md
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.dagrun_timeout is not None
    assert dag.deadline
    assert dag.on_failure_callback
    for task in dag.tasks:
        assert task.owner == "tapehouse", task.task_id
        assert task.retries == 3, task.task_id
        assert task.retry_exponential_backoff, task.task_id
        assert task.execution_timeout is not None, task.task_id
        assert task.on_failure_callback, task.task_id


@pytest.mark.parametrize("name", [BATCH, "stock_streaming_pipeline"])
def test_a_dag_of_sessions_follows_the_exchange_that_is_set(
    small_manifest: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for exchange in ("XLON", "XNYS"):
        monkeypatch.setenv("TAPEHOUSE_CALENDAR", exchange)
        assert exchange in bag_of(name).dags[name].timetable.summary


@pytest.mark.parametrize("name", NAMES)
def test_complete_is_the_only_leaf_and_needs_all_that_may_fail(
    dags: dict[str, DAG], name: str
) -> None:
    dag = dags[name]

    assert [leaf.task_id for leaf in dag.leaves] == ["complete"]
    assert dag.get_task("complete").trigger_rule == TriggerRule.NONE_FAILED
    rules = (TriggerRule.ALL_DONE, TriggerRule.NONE_SKIPPED)
    regardless = {t.task_id for t in dag.tasks if t.trigger_rule in rules}
    assert "summary" in regardless
    assert regardless <= dag.get_task("complete").upstream_task_ids


@pytest.mark.parametrize("name", NAMES)
def test_a_run_is_told_of_when_all_of_it_is_done(dags: dict[str, DAG], name: str) -> None:
    before = dags[name].get_task("summary").get_flat_relative_ids(upstream=True)

    assert before == set(dags[name].task_ids) - {"summary", "complete"}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_which_nothing_fails_succeeds(
    scheduled: dict[str, SerializedDAG], name: str
) -> None:
    state, tasks = play(scheduled[name], {})

    assert state == "success"
    assert set(tasks.values()) == {"success"}


@pytest.mark.parametrize("name", NAMES)
def test_whichever_task_fails_the_run_fails(scheduled: dict[str, SerializedDAG], name: str) -> None:
    ends = {}
    for task_id in scheduled[name].task_ids:
        state, tasks = play(scheduled[name], {task_id: "failed"})
        ends[task_id] = state
        if task_id not in ("summary", "complete"):
            assert tasks["summary"] == "success", f"{task_id} failed, and nothing told of it"
    assert set(ends.values()) == {"failed"}, ends


def test_nothing_is_published_after_a_failure_before_it(
    scheduled: dict[str, SerializedDAG],
) -> None:
    dag = scheduled[BATCH]
    before = dag.get_task("publish").get_flat_relative_ids(upstream=True)

    assert {"load", "check_lake", "consume"} < before
    assert {name.rpartition(".")[2] for name in before} >= set(KEPT)
    for task_id in before:
        _, tasks = play(dag, {task_id: "failed"})
        assert tasks["publish"] == "upstream_failed", task_id


def test_a_failed_model_leads_to_the_candidate_s_restoration(
    scheduled: dict[str, SerializedDAG],
) -> None:
    [model] = [name for name in scheduled[BATCH].task_ids if name.endswith(".silver_bars")]

    state, tasks = play(scheduled[BATCH], {model: "failed"})

    assert state == "failed"
    assert tasks["restore"] == "success"
    [mart] = [end for name, end in tasks.items() if name.endswith(".daily_stock_metrics")]
    assert mart == "upstream_failed"


@pytest.mark.parametrize("name", NAMES)
def test_a_run_has_a_deadline_from_when_it_was_queued(
    scheduled: dict[str, SerializedDAG], dags: dict[str, DAG], name: str
) -> None:
    [alert] = dags[name].deadline
    with queued(scheduled[name]) as (run, session):
        [deadline] = session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id))
        assert deadline.deadline_time == run.queued_at + alert.interval


def test_a_failed_group_is_cleared_and_the_run_ends_green(
    scheduled: dict[str, SerializedDAG],
) -> None:
    """*Clear* of all that the runbook says, as the API does it."""
    dag = scheduled[BATCH]
    models = [name for name in dag.task_ids if name.startswith("dbt.")]
    [model] = [name for name in models if name.endswith(".silver_bars")]
    with queued(dag) as (run, session):
        state, _ = advance(run, {model: "failed"}, session)
        assert state == "failed"

        cleared = set(dag.partial_subset(models, include_downstream=True).task_ids)
        clear_task_instances([ti for ti in run.task_instances if ti.task_id in cleared], session)

        states = {ti.task_id: ti.state for ti in run.task_instances}
        assert {states[name] for name in cleared} == {None}
        assert {states[name] for name in states.keys() - cleared} == {"success"}
        state, tasks = advance(run, {"restore": "skipped"}, session)
        assert (state, tasks["publish"]) == ("success", "success")


def test_the_restoration_waits_for_every_model(dags: dict[str, DAG]) -> None:
    models = {name for name in dags[BATCH].task_ids if name.startswith("dbt.")}

    assert len(models) == len(KEPT)
    assert models == dags[BATCH].get_task("restore").upstream_task_ids


@pytest.mark.parametrize(
    ("name", "skipped"),
    [
        ("minio_to_snowflake", "load"),
        ("minio_to_snowflake", "news"),
        ("minio_to_snowflake", "build"),
        ("stock_streaming_pipeline", "arrived"),
        (BATCH, "restore"),
        ("export_gold", "serve"),
    ],
)
def test_where_there_is_nothing_to_do_the_run_is_green(
    scheduled: dict[str, SerializedDAG], name: str, skipped: str
) -> None:
    state, tasks = play(scheduled[name], {skipped: "skipped"})

    assert state == "success"
    assert tasks["complete"] == "success"


@pytest.mark.parametrize(
    ("skipped", "summary"),
    [
        # A batch run is under way; there is no news: nobody waits for the writer's slot.
        (("load",), "skipped"),
        (("news",), "skipped"),
        # Something was loaded; or a failure is to be taken back.
        (("build",), "success"),
        ((), "success"),
    ],
)
def test_the_minute_path_tells_nothing_where_it_did_nothing(
    scheduled: dict[str, SerializedDAG], skipped: tuple[str, ...], summary: str
) -> None:
    _, tasks = play(scheduled["minio_to_snowflake"], dict.fromkeys(skipped, "skipped"))

    assert tasks["summary"] == summary


def test_what_is_skipped_for_want_of_news_is_the_build(dags: dict[str, DAG]) -> None:
    assert dags["minio_to_snowflake"].get_task("news").skips == "build"


def test_whoever_opens_the_warehouse_s_file_takes_the_one_slot(dags: dict[str, DAG]) -> None:
    opens = {"load", "build", "publish", "restore", "news", "summary", "reconcile"}
    for dag in dags.values():
        for task in dag.tasks:
            if task.task_id in opens or task.task_id.startswith("dbt."):
                assert task.pool == "duckdb_writer", (dag.dag_id, task.task_id)


def test_fetches_take_turns(dags: dict[str, DAG]) -> None:
    """A second one would find the provider's progress taken, and its session be missing."""
    fetches = [
        (name, task.task_id, task.pool)
        for name, dag in dags.items()
        for task in dag.tasks
        if isinstance(task, CommandOperator) and task.words is context.fetch
    ]

    assert sorted(fetches) == [
        ("backfill", "fetch", "provider"),
        (BATCH, "fetch", "provider"),
    ]


@pytest.mark.usefixtures("airflow_database")
def test_every_pool_that_a_task_takes_is_declared_and_has_one_slot(dags: dict[str, DAG]) -> None:
    taken = {task.pool for dag in dags.values() for task in dag.tasks} - {Pool.DEFAULT_POOL_NAME}

    with settings.Session() as session:
        declared = {pool.pool: pool.slots for pool in session.scalars(select(Pool))}
    del declared[Pool.DEFAULT_POOL_NAME]

    assert declared == dict.fromkeys(taken, 1)


def test_whoever_waits_for_the_slot_gets_it_before_the_next_model(
    scheduled: dict[str, SerializedDAG],
) -> None:
    weights: dict[bool, set[int]] = {True: set(), False: set()}
    for dag in scheduled.values():
        with queued(dag) as (run, _):
            for ti in run.task_instances:
                if ti.pool == "duckdb_writer":
                    is_dbt_s = ti.task_id.startswith("dbt.") or ti.task_id == "freshness"
                    weights[is_dbt_s].add(ti.priority_weight)

    assert max(weights[True]) < min(weights[False])


def test_only_the_batch_pipeline_builds_or_judges_without_looking_for_others(
    dags: dict[str, DAG],
) -> None:
    for name in ("minio_to_snowflake", "stock_streaming_pipeline"):
        for task_id in ("load", "build"):
            assert dags[name].get_task(task_id).unless_running == (BATCH,)
            assert dags[name].get_task(task_id).otherwise == "skip"
    waiting = [("backfill", one) for one in ("load", "build", "reconcile")]
    for name, task_id in [*waiting, ("maintain_lake", "audit")]:
        assert dags[name].get_task(task_id).unless_running == (BATCH,)
        assert dags[name].get_task(task_id).otherwise == "wait"


def test_the_batch_pipeline_s_form_is_its_own_and_no_task_s(dags: dict[str, DAG]) -> None:
    dag = dags[BATCH]

    assert list(dag.params) == ["start", "end", "provider", "symbols"]
    assert [task.task_id for task in dag.tasks if task.params] == []


@pytest.mark.parametrize("name", NAMES)
def test_airflow_s_own_backfill_runs_nothing_beside_the_one_run(
    scheduled: dict[str, SerializedDAG], name: str
) -> None:
    allowed = scheduled[name].allowed_run_types

    assert allowed is not None
    assert set(DagRunType) - set(allowed) == {DagRunType.BACKFILL_JOB}


def test_no_task_masks_its_command_s_exit_code(dags: dict[str, DAG]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            if isinstance(task, CommandOperator):
                assert 0 not in task.transient_codes
                assert not set(task.command) & {"sh", "bash", "-c", "||", "echo"}


@pytest.mark.parametrize("name", [BATCH, "backfill"])
def test_a_screen_or_a_monitor_that_is_down_stops_no_run(dags: dict[str, DAG], name: str) -> None:
    asked = dags[name].get_task("health").command

    assert asked == ["infra.local", "status", "kafka", "store", "lander"]


@pytest.mark.parametrize("name", [BATCH, "backfill"])
def test_no_gate_of_a_run_excuses_what_the_run_has_landed(dags: dict[str, DAG], name: str) -> None:
    dag = dags[name]

    assert dag.get_task("check_lake").words is context.check_lake
    assert dag.get_task("reconcile").words is context.reconcile
    for gate in ("check_lake", "reconcile"):
        before = dag.get_task(gate).get_flat_relative_ids(upstream=True)
        assert {"consume", "process"} <= before


def test_the_streaming_gate_excuses_nothing_that_had_arrived(dags: dict[str, DAG]) -> None:
    gate = dags["stock_streaming_pipeline"].get_task("validate")

    assert gate.words is context.check_arrived
    assert {"arrived", "analytics"} <= gate.get_flat_relative_ids(upstream=True)


def test_a_model_runs_with_its_tests_and_without_unit_tests(dags: dict[str, DAG]) -> None:
    [model] = [t for t in dags[BATCH].tasks if t.task_id.endswith(".daily_stock_metrics")]

    assert model.task_id == "dbt.models.gold.daily_stock_metrics"
    command = " ".join(model.build_cmd({}, model.add_cmd_flags())[0])
    assert " build " in command
    assert "--indirect-selection buildable" in command
    assert "--exclude resource_type:unit_test" in command


def test_every_file_is_looked_at() -> None:
    assert {path.name for path in Path(DAGS).iterdir() if path.suffix == ".py"} == {
        f"{name}.py" for name in NAMES
    }
