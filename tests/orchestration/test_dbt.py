"""The group that Cosmos makes of the whole project."""

import json
from typing import Any

import pytest
from airflow.sdk import DAG, TaskGroup
from cosmos import DbtTaskGroup

from orchestration import dbt
from orchestration import manifest as manifests
from orchestration.defaults import START
from orchestration.nodes import NodeRetries


@pytest.fixture(scope="module")
def group(manifest: None) -> DbtTaskGroup:
    with DAG("project", start_date=START, schedule=None):
        return dbt.models()


def test_every_model_and_seed_is_a_task_and_nothing_else(group: TaskGroup) -> None:
    nodes = json.loads(manifests.path().read_text())["nodes"].values()
    wanted = {node["name"] for node in nodes if node["resource_type"] in ("model", "seed")}

    assert {task.task_id.rpartition(".")[2] for task in group.iter_tasks()} == wanted


def test_no_group_is_empty(group: TaskGroup) -> None:
    for one in group.get_task_group_dict().values():
        assert one.children, one.group_id


@pytest.fixture(scope="module")
def tasks(group: DbtTaskGroup) -> list[Any]:
    with DAG("sources", start_date=START, schedule=None):
        return [*group.iter_tasks(), dbt.freshness("freshness", beside=group)]


def test_dbt_s_tasks_know_what_is_not_tried_again(tasks: list[Any]) -> None:
    assert {type(task.retry_policy) for task in tasks} == {NodeRetries}


def test_the_project_is_parsed_for_one_of_dbt_s_tasks_and_not_for_each(tasks: list[Any]) -> None:
    folders = {task.cache_dir for task in tasks}

    assert len(folders) == 1
    assert folders.pop().is_dir()
