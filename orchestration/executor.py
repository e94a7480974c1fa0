"""Airflow's LocalExecutor, whose tasks find loaded what each of them would load by itself."""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from airflow.executors.local_executor import LocalExecutor

# Of libraries alone: a task reads our own modules from their files as they are when it starts.
LOADED: Final[Sequence[str]] = ("cosmos", "cosmos.operators.local", "dbt.cli.main")


class WarmLocalExecutor(LocalExecutor):
    """LocalExecutor that loads dbt and Cosmos before it forks its workers.

    A task is a fork of a worker: dbt's import, two thirds of a second to two seconds of every
    model's task, is done once.
    """

    def start(self) -> None:
        """Load the libraries, then start as LocalExecutor does."""
        engine = os.environ.get("DBT_TARGET", "duckdb")
        for name in (*LOADED, f"dbt.adapters.{engine}"):
            import_module(name)
        super().start()
