"""The dbt project as tasks: one for each model, run with its tests, and one for its sources."""

from typing import Any, Final

from airflow.sdk import TaskGroup
from cosmos import (
    DbtTaskGroup,
    ExecutionConfig,
    ExecutionMode,
    LoadMode,
    ProfileConfig,
    ProjectConfig,
    RenderConfig,
)
from cosmos.constants import InvocationMode, TestBehavior, TestIndirectSelection
from cosmos.operators.local import DbtSourceLocalOperator

from ingestion.settings import WarehouseSettings
from orchestration import alerts, manifest
from orchestration.defaults import MODEL_TIMEOUT, WRITER
from orchestration.nodes import NodeRetries

PROFILE: Final = "dbt_stocks"
_COMMON: Final[dict[str, Any]] = {
    "pool": WRITER,
    # By default a task weighs as much as all that follows it: whoever else waits for the slot, if
    # only to find that a batch run is under way, would wait for the last model.
    "weight_rule": "absolute",
    "execution_timeout": MODEL_TIMEOUT,
    "callback": "orchestration.nodes.conclude",
    "retry_policy": NodeRetries(),
}
# What a batch run is there to bring: other feeds may be off, and gold_freshness knows of all.
_FED: Final = ("source:dbt_stocks.common.bars_raw",)


def models(group_id: str = "dbt") -> DbtTaskGroup:
    """Return the group of all models and seeds, by layer and folder, in the order of their refs.

    A model's task runs the tests whose other parents come before it; those of siblings are run by
    the gate, which tests the whole project before it publishes.
    """
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(
            manifest_path=manifest.path(), project_name=PROFILE, install_dbt_deps=False
        ),
        profile_config=_profile(),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.LOCAL,
            invocation_mode=InvocationMode.DBT_RUNNER,
            dbt_project_path=manifest.PROJECT,
            test_indirect_selection=TestIndirectSelection.BUILDABLE,
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,
            # They judge logic on fixtures and belong to the tests, not to every run.
            exclude=["resource_type:unit_test"],
            group_nodes_by_folder=True,
            normalize_task_id=_name,
            normalize_task_display_name=_name,
            # One asset says that gold is there; one a model says no more.
            emit_datasets=False,
            enable_owner_inheritance=False,
        ),
        operator_args=_COMMON,
    )
    _drop_empty(group)
    return group


def _drop_empty(group: TaskGroup) -> None:
    """Remove groups without tasks: Cosmos makes one of each folder, also of that of the tests."""
    for label, child in [*group.children.items()]:
        if isinstance(child, TaskGroup):
            _drop_empty(child)
            if not child.children:
                del group.children[label]


def freshness(task_id: str, beside: DbtTaskGroup) -> DbtSourceLocalOperator:
    """Return the task that looks how old the raw bars are; it warns, the marts' tests decide.

    It parses no more of the project than the models' tasks left to parse ``beside`` it.
    """
    return DbtSourceLocalOperator(
        task_id=task_id,
        project_dir=str(manifest.PROJECT),
        profile_config=_profile(),
        invocation_mode=InvocationMode.DBT_RUNNER,
        install_deps=False,
        emit_datasets=False,
        select=list(_FED),
        cache_dir=next(beside.iter_tasks()).cache_dir,
        on_warning_callback=alerts.stale,
        **_COMMON,
    )


def _profile() -> ProfileConfig:
    return ProfileConfig(
        profile_name=PROFILE,
        target_name=WarehouseSettings.load().engine,
        profiles_yml_filepath=manifest.PROJECT / "profiles.yml",
    )


def _name(node: Any) -> str:  # noqa: ANN401 - Cosmos' node
    return str(node.name)
